"""Every format on small samples made here in the real schema: read, shown, extracted, checked both ways."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import pickle
import shutil
import zlib
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.dataset import Dataset, load
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.program import extract, program_for, self_check_programs
from apr_leaderboard.bench.prompts import profile_named, render
from apr_leaderboard.bench.table import BUILT_IN, benchmark_named
from apr_leaderboard.errors import FileFormatError, RequestError
from apr_leaderboard.sandbox import Program

_HUMANEVAL = {
    "task_id": "Made/0",
    "prompt": 'def inc(x):\n    """One more than x."""\n',
    "entry_point": "inc",
    "canonical_solution": "    return x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(-1) == 0\n",
}
_MBPP = {
    "task_id": 11,
    "text": "Write a function to add one.",
    "code": "def inc(x):\r\n  return x + 1",
    "test_setup_code": "",
    "test_list": ["assert inc(1) == 2", "assert inc(-1) == 0"],
    "challenge_test_list": [],
}
_SANITIZED = {
    "source_file": "made.ipynb",
    "task_id": 12,
    "prompt": "Write a function to take a square root.",
    "code": "import math\ndef root(x):\n    return math.sqrt(x)",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(root(4), 2)"],
}
_MBPP_PLUS = _SANITIZED | {
    "test": "import math\ninputs = [[4], [9]]\nresults = [2.0, 3.0]\n"
    "for inp, exp in zip(inputs, results):\n    assert math.isclose(root(*inp), exp)\n"
}
_BIGCODEBENCH = {
    "task_id": "BigCodeBench/0",
    "complete_prompt": 'import json\nLIMIT = 3\n\ndef task_func(text):\n    """Parse text."""\n',
    "instruct_prompt": "Parse text. Start with:\n```\nimport json\nLIMIT = 3\ndef task_func(text):\n```",
    "canonical_solution": "    return json.loads(text)\n",
    "code_prompt": "import json\nLIMIT = 3\ndef task_func(text):\n",
    "test": "import unittest\nclass TestCases(unittest.TestCase):\n"
    "    def test_one(self):\n        self.assertEqual(task_func('[1]'), [1])\n"
    "    def test_two(self):\n        self.assertEqual(task_func('{}'), {})\n",
    "entry_point": "task_func",
    "doc_struct": "{}",
    "libs": "['json']",
}
_LCB_CALL = {
    "question_title": "two",
    "question_content": "Return the sum of two integers.",
    "platform": "leetcode",
    "question_id": "1",
    "contest_id": "c",
    "contest_date": "2024-03-05T00:00:00",
    "starter_code": "class Solution:\n    def add(self, a: int, b: List[int]) -> int:\n        ",
    "difficulty": "easy",
    "public_test_cases": json.dumps([{"input": "1\n[2, 3]", "output": "6", "testtype": "functional"}]),
    "private_test_cases": "[]",
    "metadata": json.dumps({"func_name": "add"}),
}
_LCB_STDIN = _LCB_CALL | {
    "question_id": "abc_a",
    "question_content": "Read n numbers and print their sum, then their mean.",
    "platform": "atcoder",
    "contest_date": "2024-09-01T00:00:00",
    "starter_code": "",
    "public_test_cases": json.dumps([{"input": "2\n1 2\n", "output": "3\n1.50\n", "testtype": "stdin"}]),
    "private_test_cases": base64.b64encode(
        zlib.compress(pickle.dumps(json.dumps([{"input": "1\n7\n", "output": "7\n7", "testtype": "stdin"}])))
    ).decode(),
    "metadata": "{}",
}
_CRUX = {"code": "def f(a, b):\n    return [a] + b", "input": "'x', ['y']", "output": "['x', 'y']", "id": "sample_0"}
_FIM = {
    "task_id": "SingleLineInfilling/HumanEval/0/L0",
    "entry_point": "inc",
    "prompt": 'def inc(x):\n    """One more."""\n',
    "suffix": "    return y\n",
    "canonical_solution": "    y = x + 1\n",
    "test": "def check(candidate):\n    assert candidate(1) == 2\n",
}
_DS1000 = {
    "prompt": "Problem:\nDouble the list a.\n\nA:\n<code>\na = [1, 2]\n</code>\nresult = ...\nBEGIN SOLUTION\n<code>\n",
    "reference_code": "result = [2 * x for x in a]",
    "metadata": {"problem_id": 7, "library": "Numpy", "library_problem_id": 7, "test_case_cnt": 1},
    "code_context": "exec_context = 'a = [1, 2]\\n[insert]'\n\ndef test_execution(solution):\n"
    "    env = {}\n    exec(exec_context.replace('[insert]', solution), env)\n    assert env['result'] == [2, 4]\n\n"
    "def test_string(solution):\n    assert 'while' not in solution\n",
}
_MULTI_JS = {
    "name": "HumanEval_0_inc",
    "language": "js",
    "prompt": "//One more than x.\nfunction inc(x){\n",
    "doctests": "transform",
    "original": "",
    "prompt_terminology": "reworded",
    "tests": "const assert = require('node:assert');\nassert.deepEqual(inc(1), 2);\n",
    "stop_tokens": ["\nfunction ", "\n/*", "\n//", "\nconsole.log"],
}

_SAMPLES: dict[str, tuple[str, dict[str, str], dict[str, Any]]] = {
    "humaneval": ("humaneval", {}, _HUMANEVAL),
    "mbpp": ("mbpp", {}, _MBPP),
    "mbpp sanitized": ("mbpp", {}, _SANITIZED),
    "mbpp-plus": ("mbpp", {"asserts_shown": "1"}, _MBPP_PLUS),
    "bigcodebench complete": ("bigcodebench", {"variant": "complete"}, _BIGCODEBENCH),
    "bigcodebench instruct": ("bigcodebench", {"variant": "instruct"}, _BIGCODEBENCH),
    "livecodebench calls": ("livecodebench", {}, _LCB_CALL),
    "livecodebench stdin": ("livecodebench", {}, _LCB_STDIN),
    "cruxeval output": ("cruxeval", {"task": "output"}, _CRUX),
    "cruxeval input": ("cruxeval", {"task": "input"}, _CRUX),
    "infill": ("infill", {}, _FIM),
    "ds1000": ("ds1000", {}, _DS1000),
}

_ANSWERS: dict[str, tuple[tuple[str, bool], ...]] = {
    "humaneval": (
        ("    return x + 1\n", True),
        ("```python\ndef inc(x):\n    return x + 1\n```", True),
        ("    return x\n", False),
    ),
    "mbpp": (
        ("```python\ndef inc(x):\n    return 1 + x\n```", True),
        ("def inc(x):\n    return 1 + x", True),
        ("```python\ndef add_one(x):\n    return 1 + x\n```", False),
    ),
    "mbpp sanitized": (("```python\ndef root(x):\n    return x ** 0.5\n```", True), ("def root(x): return x", False)),
    "mbpp-plus": (("```python\ndef root(x):\n    return x ** 0.5\n```", True), ("def root(x): return 2", False)),
    "bigcodebench complete": (
        ("    return json.loads(text)", True),
        ("```python\ndef task_func(text):\n    return json.loads(text)\n```", True),
        ("```python\ndef task_func(text):\n    return [LIMIT]\n```", False),
        ("```python\ndef task_func(text):\n    return [1]\n```", False),
    ),
    "bigcodebench instruct": (("```python\ndef task_func(text):\n    return json.loads(text)\n```", True),),
    "livecodebench calls": (
        (
            "```python\nclass Solution:\n    def add(self, a, b: List[int]):\n        return a + sum(b)\n```",
            True,
        ),
        ("```python\nclass Solution:\n    def add(self, a, b):\n        return a\n```", False),
        ("```python\ndef add(a, b):\n    return a + sum(b)\n```", True),
    ),
    "livecodebench stdin": (
        (
            "```python\nn = int(input())\nx = list(map(int, input().split()))\nprint(sum(x))\nprint(sum(x) / n)\n```",
            True,
        ),
        (
            "```python\nimport sys\ndef main():\n    n, *x = map(int, sys.stdin.buffer.read().split())\n"
            "    print(sum(x), sum(x) / n, sep='\\n')\n    sys.exit()\nif __name__ == '__main__':\n    main()\n```",
            True,
        ),
        ("```python\nprint(3)\nprint(1.5)\n```", False),
        ("```python\nprint(3)\n```", False),
        ("```python\nprint(\n```", False),
    ),
    "cruxeval output": (
        ("[ANSWER]\nassert f('x', ['y']) == ['x', 'y']\n[/ANSWER]", True),
        ("[ANSWER] ['x', 'y'] [/ANSWER]", True),
        ("It is `['x', 'y']`.\n```\n['x', 'y']\n```", True),
        ("['x', 'y']", True),
        ("assert ['x', 'y'] == f('x', ['y'])", True),
        ("[ANSWER] ['x'] [/ANSWER]", False),
        ("[ANSWER] f('x', ['y']) [/ANSWER]", False),
        ("[ANSWER] type('A', (), {'__eq__': lambda s, o: True})() [/ANSWER]", False),
    ),
    "cruxeval input": (
        ("[ANSWER]\nassert f('x', ['y']) == ['x', 'y']\n[/ANSWER]", True),
        ("[ANSWER] f('x', list('y')) [/ANSWER]", True),
        ("[ANSWER] 'x', ['y'] [/ANSWER]", True),
        ("[ANSWER] f('y', ['x']) [/ANSWER]", False),
        ("[ANSWER] f(*[type('A', (), {'__radd__': lambda *a: ['x', 'y']})(), []]) [/ANSWER]", False),
    ),
    "infill": (
        ("    y = x + 1\n", True),
        ("```python\n    y = x + 1\n```", True),
        ("    y = x + 1\n    return y\n\ndef other(\n", True),
        ("```python\ndef inc(x):\n    return x + 1\n```", True),
        ("    y = x\n", False),
    ),
    "ds1000": (
        ("result = [2 * x for x in a]\n</code>\nEND SOLUTION", True),
        ("```python\nresult = [x + x for x in a]\n```", True),
        ("<code>\nresult = [x + x for x in a]\n</code>", True),
        ("result = a", False),
        ("result = []\nwhile a:\n    result.append(2 * a.pop(0))", False),
        ("result = (", False),
    ),
}


def _dataset(folder: Path, name: str) -> Dataset:
    form, options, row = _SAMPLES[name]
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n", encoding="utf-8")
    return load(Benchmark(name="made", format=form, options=options), path)


def _passes(program: Program) -> bool:
    """Run a program made here, as the sandbox would: source, then check, in the same names."""
    names: dict[str, Any] = {}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(program.source, "source", "exec"), names)
            exec(compile(program.check, "check", "exec"), names)
    except Exception:
        return False
    return bool(program.source.strip())


@pytest.mark.parametrize("name", _SAMPLES)
def test_format_self_check_right_passes_and_planted_fails(name: str, tmp_path: Path) -> None:
    """The data's own solution passes where there is one; the planted wrong one never does."""
    problem = _dataset(tmp_path, name).problems[0]
    right, wrong = self_check_programs(problem)
    assert (right is None) == name.startswith("livecodebench")
    assert right is None or _passes(right)
    assert not _passes(wrong)


@pytest.mark.parametrize(
    ("name", "answer", "right"),
    [(name, answer, right) for name, answers in _ANSWERS.items() for answer, right in answers],
    ids=[f"{name} {number}" for name, answers in _ANSWERS.items() for number, _ in enumerate(answers)],
)
def test_format_answer_is_extracted_and_judged(name: str, answer: str, right: bool, tmp_path: Path) -> None:
    """From a model's words to right or wrong, for each family of benchmarks."""
    problem = _dataset(tmp_path, name).problems[0]
    extraction = extract(answer, problem)
    assert not extraction.no_code
    assert _passes(program_for(problem, extraction)) == right, extraction


@pytest.mark.parametrize("name", _SAMPLES)
@pytest.mark.parametrize("answer", ["", "   \n", "<|im_end|>"], ids=["empty", "blank", "token"])
def test_format_empty_answer_is_no_code(name: str, answer: str, tmp_path: Path) -> None:
    """Nothing is said to be nothing, and its source is empty."""
    problem = _dataset(tmp_path, name).problems[0]
    extraction = extract(answer, problem)
    assert extraction == Extraction(program="", how="no-code", no_code=True)
    assert program_for(problem, extraction).source == ""


@pytest.mark.parametrize("name", _SAMPLES)
def test_format_standard_prompt_shows_the_problem_and_never_the_hidden_check(name: str, tmp_path: Path) -> None:
    """The model sees the task, not the check (MBPP's shown asserts are part of its task)."""
    problem = _dataset(tmp_path, name).problems[0]
    shown = render(profile_named("standard"), problem).messages[-1].content
    assert any(word in shown for word in ("inc", "root", "Parse", "sum", "f(", "Double"))
    assert "def check" not in shown
    assert "test_execution" not in shown
    assert "TestCases" not in shown


def test_mbpp_prompt_carries_the_name_and_the_asserts(tmp_path: Path) -> None:
    """All of them by default, as many as the option says otherwise."""
    problem = _dataset(tmp_path, "mbpp").problems[0]
    assert "`inc`" in problem.instruction
    assert "assert inc(1) == 2\nassert inc(-1) == 0" in problem.instruction
    assert problem.prompt == '"""\nWrite a function to add one.\nassert inc(1) == 2\nassert inc(-1) == 0\n"""\n'


def test_mbpp_setup_code_is_shown_and_run(tmp_path: Path) -> None:
    """Tests that need a class of their own bring it."""
    row = _MBPP | {"test_setup_code": "BASE = 1", "test_list": ["assert inc(BASE) == 2"]}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    problem = load(Benchmark(name="made", format="mbpp"), path).problems[0]
    assert "BASE = 1" in problem.instruction
    assert _passes(program_for(problem, extract("def inc(x): return x + 1", problem)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_list": []}, "test_list: is empty"),
        ({"test_list": ["assert other(1) == 2"]}, "calls nothing that `code` defines"),
        ({"test_list": "assert inc(1) == 2"}, "field is str; allowed: a list of strings"),
        ({"task_id": "11"}, "got '11'; allowed: a whole number"),
    ],
    ids=["no asserts", "another name", "text", "id"],
)
def test_mbpp_wrong_row_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    """With file, line and field."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_MBPP | change) + "\n")
    with pytest.raises(FileFormatError, match=message):
        load(Benchmark(name="made", format="mbpp"), path)


def test_bigcodebench_variants_differ_in_the_prompt_only(tmp_path: Path) -> None:
    """The same check either way; the instruct form is the request in words."""
    complete = _dataset(tmp_path, "bigcodebench complete").problems[0]
    instruct = _dataset(tmp_path, "bigcodebench instruct").problems[0]
    assert complete.check == instruct.check
    assert complete.instruction != instruct.instruction == _BIGCODEBENCH["instruct_prompt"]
    assert complete.meta["libs"] == "['json']"


def test_bigcodebench_test_class_without_tests_does_not_pass(tmp_path: Path) -> None:
    """A suite that runs nothing proves nothing."""
    row = _BIGCODEBENCH | {"test": "import unittest\nclass TestCases(unittest.TestCase):\n    pass\n"}
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row) + "\n")
    problem = load(Benchmark(name="made", format="bigcodebench"), path).problems[0]
    right, _ = self_check_programs(problem)
    assert right is not None
    assert not _passes(right)


@pytest.mark.parametrize(
    ("window", "ids"),
    [
        ({}, ["1", "abc_a"]),
        ({"from": "2024-03-05"}, ["1", "abc_a"]),
        ({"from": "2024-03-06"}, ["abc_a"]),
        ({"until": "2024-08-31"}, ["1"]),
        ({"from": "2024-03-05", "until": "2024-03-05"}, ["1"]),
    ],
    ids=["all", "from, included", "from, after", "until", "one day"],
)
def test_livecodebench_window_keeps_both_its_days(window: dict[str, str], ids: list[str], tmp_path: Path) -> None:
    """Scores of different windows are different scores."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_LCB_CALL) + "\n" + json.dumps(_LCB_STDIN) + "\n")
    problems = load(Benchmark(name="made", format="livecodebench", options=window), path).problems
    assert [problem.task_id for problem in problems] == [f"LiveCodeBench/{one}" for one in ids]
    assert [problem.date for problem in problems if problem.task_id.endswith("1")] in ([], ["2024-03-05"])


@pytest.mark.parametrize("window", [{"from": "last week"}, {"from": "2024-05-01", "until": "2024-04-01"}])
def test_livecodebench_impossible_window_is_refused(window: dict[str, str], tmp_path: Path) -> None:
    """What was got and what is allowed."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_LCB_CALL) + "\n")
    with pytest.raises(RequestError, match=r"from is 'last week'; allowed: a date|ends 2024-04-01, before"):
        load(Benchmark(name="made", format="livecodebench", options=window), path)


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("a dataset ran code",))


def test_livecodebench_packed_tests_can_run_no_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The dataset packs its tests in a pickle; one that does more than hold text is refused."""
    packed = base64.b64encode(zlib.compress(pickle.dumps(_Evil()))).decode()
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_LCB_STDIN | {"private_test_cases": packed}) + "\n")
    with pytest.raises(FileFormatError, match="neither JSON nor the packed form"):
        load(Benchmark(name="made", format="livecodebench"), path)
    assert capsys.readouterr().out == ""


def test_infill_raw_prompt_uses_the_models_tokens(tmp_path: Path) -> None:
    """Prefix, suffix, middle, in that order; another family's tokens by option."""
    problem = _dataset(tmp_path, "infill").problems[0]
    prompt, suffix = str(_FIM["prompt"]), str(_FIM["suffix"])
    assert render(profile_named("raw"), problem).raw == f"<|fim_prefix|>{prompt}<|fim_suffix|>{suffix}<|fim_middle|>"
    benchmark = Benchmark(name="made", format="infill", options={"tokens": "starcoder"})
    assert load(benchmark, tmp_path / "rows.jsonl").problems[0].raw.startswith("<fim_prefix>")


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("bigcodebench", {"variant": "both"}),
        ("cruxeval", {"task": "io"}),
        ("infill", {"tokens": "gpt"}),
        ("multipl-e", {"language": "cobol"}),
    ],
)
def test_format_unknown_option_value_lists_the_allowed(form: str, options: dict[str, str], tmp_path: Path) -> None:
    """As everywhere."""
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    with pytest.raises(RequestError, match="allowed: "):
        load(Benchmark(name="made", format=form, options=options), path)


def _javascript(folder: Path) -> Problem:
    path = folder / "rows.jsonl"
    path.write_text(json.dumps(_MULTI_JS) + "\n")
    return load(Benchmark(name="made", format="multipl-e", options={"language": "js"}), path).problems[0]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("  return x + 1;\n}\nconsole.log(inc(3));", True),
        ("```javascript\nfunction inc(x) {\n  return x + 1;\n}\n```", True),
        ("  return x;\n}\n", False),
        ("  return x +\n", False),
    ],
    ids=["goes on", "fenced", "wrong", "broken"],
)
def test_multipl_e_javascript_is_run_by_node(answer: str, right: bool, tmp_path: Path) -> None:
    """Prompt, answer and tests in one file, run by the language's own tool."""
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    problem = _javascript(tmp_path)
    assert _passes(program_for(problem, extract(answer, problem))) == right


def test_multipl_e_self_check_runs_an_empty_program_and_a_broken_one(tmp_path: Path) -> None:
    """The data has no reference solutions; what must pass is the language's tools themselves."""
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    right, wrong = self_check_programs(_javascript(tmp_path))
    assert right is not None
    assert _passes(right)
    assert not _passes(wrong)


def test_multipl_e_answer_as_empty_as_the_reference_has_its_tests_run(tmp_path: Path) -> None:
    """What stands in for a reference solution passes without a test; an answer of the same text must not."""
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    problem = _javascript(tmp_path)
    assert problem.canonical is not None
    assert not _passes(program_for(problem, Extraction(program=problem.canonical, how="solution")))


def test_multipl_e_self_check_fails_where_the_sandbox_hides_the_tools(tmp_path: Path) -> None:
    """A run in which nothing could run must be invalid, not 0."""
    if shutil.which("node") is None:
        pytest.skip("node is not on PATH")
    right, _ = self_check_programs(_javascript(tmp_path))
    assert right is not None
    hidden = right.source.replace(shutil.which("node") or "", str(tmp_path / "gone"))
    assert not _passes(Program(source=hidden, check=right.check))


def test_multipl_e_missing_tool_is_a_wrong_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a failed program: the user is told what to install."""
    problem = _javascript(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RequestError, match="needs node, which is not on PATH"):
        program_for(problem, extract("  return 1;\n}", problem))


def test_multipl_e_row_in_another_language_is_refused(tmp_path: Path) -> None:
    """A Rust file is no JavaScript benchmark."""
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(_MULTI_JS | {"language": "rs"}) + "\n")
    with pytest.raises(FileFormatError, match="got 'rs'; allowed: 'js'"):
        load(Benchmark(name="made", format="multipl-e", options={"language": "js"}), path)


def test_built_in_table_tells_the_versions_of_mbpp_plus_apart() -> None:
    """378 and 399 tasks are two benchmarks with their own published scores."""
    new, old = benchmark_named("mbpp-plus"), benchmark_named("mbpp-plus-399")
    assert (new.n_problems, old.n_problems) == (378, 399)
    assert {one.model for one in new.published}.isdisjoint({one.model for one in old.published})


def test_built_in_table_covers_what_users_ask_for() -> None:
    """Each family is there."""
    names = {one.name for one in BUILT_IN}
    assert {"humaneval", "humaneval-plus", "mbpp", "mbpp-sanitized", "mbpp-plus", "mbpp-plus-399", "ds-1000"} <= names
    assert {"bigcodebench-complete", "bigcodebench-hard-instruct", "livecodebench", "cruxeval-o", "cruxeval-i"} <= names
    assert {"humaneval-fim", "multipl-e-rs", "multipl-e-js"} <= names
