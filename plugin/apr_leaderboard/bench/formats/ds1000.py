"""DS-1000 (Lai et al. 2022, arXiv 2211.11501): a few lines of data science, checked by the row's own code.

Fields of the simplified form on the hub: prompt, reference_code, metadata, code_context. `code_context` defines
`test_execution(solution)` and, for some, `test_string(solution)`, both given the answer's text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.extraction.clean import clean
from apr_leaderboard.bench.extraction.fences import blocks
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.rows import Row

__all__ = ["Ds1000Format"]

_STOP = ("</code>", "# SOLUTION END", "\nEND SOLUTION")
_OPENING = re.compile(r"^\s*(?:<code>|BEGIN SOLUTION)[ \t]*\n?")


class Ds1000Format:
    """The answer is a snippet that the check places into its own context."""

    name = "ds1000"
    options: frozenset[str] = frozenset()

    def problems(self, rows: Iterable[Row], benchmark: Benchmark) -> Iterator[Problem]:
        """One problem per row, named by its library's number."""
        for row in rows:
            meta = row.value.get("metadata")
            if not isinstance(meta, dict) or "problem_id" not in meta:
                raise row.wrong("metadata", "names no problem_id", "an object with problem_id and library")
            context = row.text("code_context")
            check = f"{context}\n\ntest_execution(_SNIPPET)\n"
            if re.search(r"^def test_string\b", context, re.MULTILINE):
                check += "test_string(_SNIPPET)\n"
            prompt = row.text("prompt")
            yield Problem(
                benchmark=benchmark.name,
                format=self.name,
                task_id=f"DS-1000/{meta['problem_id']}",
                style="write",
                prompt=prompt,
                instruction=f"{prompt}\n\nAnswer with the missing lines only, in one Python code block.",
                raw=prompt,
                canonical=row.text("reference_code"),
                check=check,
                text=prompt,
                stop=(*benchmark.stop, *_STOP),
                meta={"library": str(meta.get("library", ""))},
            )

    def extract(self, text: str, problem: Problem, prefill: str) -> Extraction:
        """A fenced or tagged block, else the text up to the end mark, blanks before it kept."""
        answer = clean(prefill + text)
        found = blocks(_OPENING.sub("", answer, count=1))
        if found:
            # Its indentation stays: the snippet may be part of a function's body.
            return Extraction(program=found[-1].text.rstrip() + "\n", how="fenced")
        for mark in _STOP:
            answer = answer.split(mark)[0]
        answer = _OPENING.sub("", answer, count=1)
        if not answer.strip():
            return Extraction(program="", how="no-code", no_code=True)
        return Extraction(program=answer.rstrip() + "\n", how="bare")

    def source(self, problem: Problem, program: str) -> str:
        """The snippet as text. It may be part of a function's body, so it need not parse alone."""
        return f"_SNIPPET = {program!r}\n"

    def reference(self, problem: Problem, program: str) -> str:
        """As an answer's."""
        return self.source(problem, program)

    def planted_wrong(self, problem: Problem) -> str:
        """Binds the name most checks look at to something that equals nothing."""
        return "result = object()\n"
