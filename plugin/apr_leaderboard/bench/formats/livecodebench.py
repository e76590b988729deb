"""LiveCodeBench code generation (Jain et al. 2024, arXiv 2403.07974): contest problems, each with its date.

Fields on the hub: question_title, question_content, platform, question_id, contest_id, contest_date, starter_code,
difficulty, public_test_cases, private_test_cases, metadata. Scores depend on the window of dates, so a benchmark
states it: options `from` and `until` (ISO 8601, both days included).
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any, NoReturn

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.extraction import extract_function
from apr_leaderboard.bench.extraction.script import extract_script
from apr_leaderboard.bench.formats.functions import as_text
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.rows import Row
from apr_leaderboard.errors import RequestError

__all__ = ["LiveCodeBenchFormat"]

_MODULES = "typing collections heapq bisect itertools functools string re random copy math"
_SETUP = (
    "import operator\nimport sys\n"
    + "".join(f"import {name}\nfrom {name} import *\n" for name in _MODULES.split())
    + "from builtins import *\n"
)
"""Contest answers lean on names their site has imported; the builtins come last, so that pow and open stay theirs."""

_CALLS = """
import json as _json

try:
    _run = Solution().{name}
except NameError:
    _run = {name}
for _given, _wanted in _json.loads({tests!r}):
    _got = _run(*[_json.loads(_line) for _line in _given.split("\\n")])
    _got = list(_got) if isinstance(_got, tuple) else _got
    assert _got == _json.loads(_wanted), f"{{_got!r:.200}} where {{_wanted:.200}} is right"
"""

_SCRIPTS = """
import io as _io
import json as _json
import sys as _sys
from decimal import Decimal as _Decimal, InvalidOperation as _NoNumber


def _numbers(line):
    try:
        return [_Decimal(word) for word in line.split()]
    except _NoNumber:
        return None


def _same(got, wanted):
    return got == wanted or (_numbers(got) is not None and _numbers(got) == _numbers(wanted))


def _output(code, given):
    kept = _sys.stdin, _sys.stdout
    _sys.stdin = _io.TextIOWrapper(_io.BytesIO(given.encode()), encoding="utf-8")
    _sys.stdout = _io.TextIOWrapper(_io.BytesIO(), encoding="utf-8", write_through=True)
    try:
        exec(code, {"__name__": "__main__"})
    except SystemExit:
        pass
    finally:
        written = _sys.stdout
        _sys.stdin, _sys.stdout = kept
    return written.buffer.getvalue().decode("utf-8", "replace")


_code = compile(_SCRIPT, "answer", "exec")
for _given, _wanted in _json.loads(TESTS):
    _lines = [[_line.strip() for _line in _text.strip().split("\\n")] for _text in (_output(_code, _given), _wanted)]
    assert len(_lines[0]) == len(_lines[1]), f"{len(_lines[0])} lines where {len(_lines[1])} are right"
    for _got, _right in zip(*_lines):
        assert _same(_got, _right), f"{_got!r:.200} where {_right!r:.200} is right"
"""


class LiveCodeBenchFormat:
    """Answers are functions (LeetCode) or scripts that read standard input (AtCoder, Codeforces)."""

    name = "livecodebench"
    options = frozenset({"from", "until"})

    def problems(self, rows: Iterable[Row], benchmark: Benchmark) -> Iterator[Problem]:
        """The problems whose contest date lies in the window."""
        first, last = _day(benchmark, "from"), _day(benchmark, "until")
        if first and last and last < first:
            raise RequestError(f"benchmark {benchmark.name}: the window ends {last}, before it begins {first}")
        for row in rows:
            day = row.text("contest_date")[:10]
            try:
                held = date.fromisoformat(day)
            except ValueError:
                raise row.wrong("contest_date", f"got {day!r}", "an ISO 8601 date") from None
            if (first is None or held >= first) and (last is None or held <= last):
                yield _problem(row, benchmark, held)

    def extract(self, text: str, problem: Problem, prefill: str) -> Extraction:
        """The function or class asked for, or a script."""
        return extract_function(text, problem, prefill) if problem.entry_point else extract_script(text, prefill)

    def source(self, problem: Problem, program: str) -> str:
        """A script is bound as text, since each test runs it anew."""
        if problem.entry_point:
            return problem.setup + program
        return as_text(problem.setup + program, "_SCRIPT")

    def reference(self, problem: Problem, program: str) -> str:
        """As an answer's."""
        return self.source(problem, program)

    def planted_wrong(self, problem: Problem) -> str:
        """Runs, and is never right."""
        if not problem.entry_point:
            return 'print("\\u2205 no contest prints this \\u2205")\n'
        method = problem.meta["function"]
        if problem.entry_point == "Solution":
            return f"class Solution:\n    def {method}(self, *args, **kwargs):\n        return object()\n"
        return f"def {method}(*args, **kwargs):\n    return object()\n"


def _problem(row: Row, benchmark: Benchmark, held: date) -> Problem:
    starter = row.text("starter_code", "")
    function = _json(row, "metadata").get("func_name") or ""
    tests = [(t["input"], t["output"]) for key in ("public_test_cases", "private_test_cases") for t in _tests(row, key)]
    if not tests:
        raise row.wrong("public_test_cases", "no test, public or private", "at least one")
    encoded = json.dumps(tests)
    content = row.text("question_content")
    return Problem(
        benchmark=benchmark.name,
        format="livecodebench",
        task_id=f"LiveCodeBench/{row.text('question_id')}",
        entry_point=("Solution" if "class Solution" in starter else function) if function else "",
        style="write",
        prompt=content,
        instruction=_instruction(content, starter),
        raw=content,
        setup=_SETUP,
        check=_CALLS.format(name=function, tests=encoded) if function else _SCRIPTS.replace("TESTS", repr(encoded)),
        text=content,
        stop=benchmark.stop,
        date=held.isoformat(),
        meta={"function": function, "platform": row.text("platform", ""), "difficulty": row.text("difficulty", "")},
    )


def _instruction(content: str, starter: str) -> str:
    if starter.strip():
        return f"{content}\n\nComplete this code, and answer with one Python code block.\n\n```python\n{starter}\n```"
    return (
        f"{content}\n\nWrite a Python program that reads its input from standard input and prints its answer. "
        "Answer with one Python code block."
    )


def _day(benchmark: Benchmark, name: str) -> date | None:
    value = benchmark.options.get(name, "")
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise RequestError(
            f"benchmark {benchmark.name}: option {name} is {value!r}; allowed: a date such as 2024-08-01"
        ) from None


def _json(row: Row, key: str) -> dict[str, Any]:
    try:
        value = json.loads(row.text(key, "{}") or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise row.wrong(key, "is no JSON object", "a JSON object as text")
    return value


def _tests(row: Row, key: str) -> list[dict[str, str]]:
    """The test cases of a field: JSON, or JSON in a pickle, deflated and in base 64, as the lite version has them."""
    text = row.text(key, "[]") or "[]"
    try:
        value = json.loads(text)
    except ValueError:
        value = _unpacked(row, key, text)
    if not isinstance(value, list) or not all(isinstance(t, dict) and {"input", "output"} <= set(t) for t in value):
        raise row.wrong(key, "holds no test cases", "a list of objects with input and output")
    return value


def _unpacked(row: Row, key: str, text: str) -> object:
    try:
        packed = zlib.decompress(base64.b64decode(text, validate=True))
        inner = _TextOnly(io.BytesIO(packed)).load()
        return json.loads(inner)
    except (binascii.Error, zlib.error, pickle.UnpicklingError, ValueError, EOFError, TypeError, IndexError):
        raise row.wrong(key, "is neither JSON nor the packed form", "the dataset's own encoding") from None


class _TextOnly(pickle.Unpickler):
    """Loads text and nothing else: a dataset must not be able to run code here."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every class."""
        raise pickle.UnpicklingError(f"{module}.{name} in a field of text")
