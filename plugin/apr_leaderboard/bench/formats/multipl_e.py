"""MultiPL-E (Cassano et al. 2022, arXiv 2208.08227): HumanEval and MBPP translated to other languages.

Fields on the hub: name, language, prompt, doctests, original, prompt_terminology, tests, stop_tokens. The program is
prompt, answer and tests in one text, compiled and run by the language's own tools, which must be on PATH and visible in
the sandbox. There are no reference solutions: the self-check runs an empty program of the language instead, so that a
run without its tools is invalid rather than zero.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.extraction import extract_function
from apr_leaderboard.bench.extraction.clean import clean
from apr_leaderboard.bench.extraction.fences import blocks
from apr_leaderboard.bench.formats.functions import option
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.rows import Row
from apr_leaderboard.errors import RequestError

__all__ = ["MultiPlEFormat"]


class _Language(NamedTuple):
    """How a text in a language is run: its file's name, then commands, all in one empty folder; `empty` must run."""

    title: str
    file: str
    commands: tuple[tuple[str, ...], ...]
    empty: str = "\n"


_LANGUAGES: Final = {
    "py": _Language("Python", "", ()),
    "js": _Language("JavaScript", "program.js", (("node", "program.js"),)),
    "ts": _Language("TypeScript", "program.ts", (("tsc", "--target", "es2020", "program.ts"), ("node", "program.js"))),
    "rs": _Language("Rust", "program.rs", (("rustc", "-o", "program", "program.rs"), ("./program",)), "fn main() {}\n"),
    "go": _Language("Go", "program_test.go", (("go", "test", "program_test.go"),), "package main\n"),
    "java": _Language(
        "Java",
        "Problem.java",
        (("javac", "Problem.java"), ("java", "-ea", "Problem")),
        "class Problem { public static void main(String[] args) {} }\n",
    ),
    "cpp": _Language(
        "C++",
        "program.cpp",
        (("g++", "-std=c++17", "-o", "program", "program.cpp"), ("./program",)),
        "int main() { return 0; }\n",
    ),
}

_DRIVER = """
import os as _os
import subprocess as _subprocess
import tempfile as _tempfile

with _tempfile.TemporaryDirectory() as _folder:
    with open(_os.path.join(_folder, {file!r}), "w", encoding="utf-8") as _stream:
        _stream.write(_PROGRAM if _EMPTY else _PROGRAM + TESTS)
    for _command in {commands!r}:
        _command = [_TOOLS.get(_command[0], _command[0]), *_command[1:]]
        _done = _subprocess.run(_command, cwd=_folder, capture_output=True, text=True, errors="replace")
        _said = (_done.stderr or _done.stdout).strip().splitlines() or ["nothing said"]
        assert _done.returncode == 0, f"{{_command[0]}} ended with {{_done.returncode}}: {{_said[-1]:.300}}"
"""


class MultiPlEFormat:
    """The answer goes on from the prompt, or repeats it; its end is where the data's stop tokens say."""

    name = "multipl-e"
    options = frozenset({"language"})

    def problems(self, rows: Iterable[Row], benchmark: Benchmark) -> Iterator[Problem]:
        """One problem per row; a row in another language than the benchmark's option is refused."""
        language = option(benchmark, "language", tuple(_LANGUAGES))
        title = _LANGUAGES[language].title
        for row in rows:
            found = row.text("language", language)
            if found != language:
                raise row.wrong("language", f"got {found!r}", f"{language!r}, this benchmark's language")
            prompt, tests = row.text("prompt"), row.text("tests")
            yield Problem(
                benchmark=benchmark.name,
                format=self.name,
                task_id=row.text("name"),
                entry_point=_function(prompt),
                prompt=prompt,
                instruction=(
                    f"Complete the following {title} function. Answer with the whole function in one code block.\n\n"
                    f"```{language}\n{prompt.strip()}\n```"
                ),
                raw=prompt,
                canonical=_LANGUAGES[language].empty if language != "py" else None,
                check=_check(language, tests),
                stop=(*benchmark.stop, *row.texts("stop_tokens")),
                language=language,
            )

    def extract(self, text: str, problem: Problem, prefill: str) -> Extraction:
        """A block that names the function, else the prompt and the answer up to its first stop token."""
        if problem.language == "py":
            return extract_function(text, problem, prefill)
        answer = clean(prefill + text)
        if not clean(text).strip():
            return Extraction(program="", how="no-code", no_code=True)
        found = blocks(answer)
        for block in reversed(found):
            if re.search(rf"\b{re.escape(problem.entry_point)}\s*\(", block.text):
                head = _before_function(problem)
                return Extraction(program=f"{head}{block.text.rstrip()}\n", how="fenced")
        body = found[-1].text if found else answer
        ends = [at for token in problem.stop if (at := body.find(token)) != -1]
        return Extraction(program=problem.prompt + body[: min(ends, default=len(body))], how="continued")

    def source(self, problem: Problem, program: str) -> str:
        """The text for the language's tools. Raises `RequestError` where one of them is not on PATH."""
        return self._text(problem, program, empty=False)

    def reference(self, problem: Problem, program: str) -> str:
        """The empty program, run without the tests: an answer that is as empty has them like any other."""
        return self._text(problem, program, empty=True)

    def _text(self, problem: Problem, program: str, *, empty: bool) -> str:
        language = _LANGUAGES[problem.language]
        tools: dict[str, str] = {}
        for tool in (command[0] for command in language.commands if not command[0].startswith("./")):
            place = shutil.which(tool)
            if place is None:
                raise RequestError(
                    f"{problem.benchmark} in {language.title} needs {tool}, which is not on PATH; "
                    f"install it, or choose another language: {', '.join(_LANGUAGES)}"
                )
            # By its whole path: PATH in the sandbox is not the user's.
            tools[tool] = place
        return (
            program if problem.language == "py" else f"_TOOLS, _EMPTY, _PROGRAM = {tools!r}, {empty!r}, {program!r}\n"
        )

    def planted_wrong(self, problem: Problem) -> str:
        """A text that no compiler takes and no interpreter finishes; in Python a function that is never right."""
        if problem.language == "py":
            return f"def {problem.entry_point}(*args, **kwargs):\n    return object()\n"
        return f"{problem.prompt}\n)]}} this is no program\n"


def _check(language: str, tests: str) -> str:
    if language == "py":
        return tests
    chosen = _LANGUAGES[language]
    driver = _DRIVER.format(file=chosen.file, commands=[list(command) for command in chosen.commands])
    return driver.replace("TESTS", repr("\n" + tests), 1)


def _function(prompt: str) -> str:
    """The last name before a bracket in the prompt's code lines: the function to complete."""
    lines = [line for line in prompt.split("\n") if not re.match(r"\s*(?://|/?\*|#|\"|')", line)]
    names = [found for line in lines for found in re.findall(r"(\w+)\s*\(", line)]
    return names[-1] if names else ""


def _before_function(problem: Problem) -> str:
    """What the prompt holds before the line of its function, comments apart: headers and imports."""
    kept = []
    for line in problem.prompt.split("\n"):
        if re.search(rf"\b{re.escape(problem.entry_point)}\s*\(", line) and not line.lstrip().startswith(
            ("//", "*", "#")
        ):
            break
        if re.match(r"\s*(?:#include|import|package|use|using|const|class)\b", line):
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)
