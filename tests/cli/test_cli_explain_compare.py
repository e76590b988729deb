"""explain and compare on recorded runs, and what they say to whoever asks in vain."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.cli import main

_OPTIONS: dict[str, Any] = {"apr_completions": "x.jsonl", "markexpr": "humaneval"}


def _problem(number: int, verdicts: list[str]) -> dict[str, Any]:
    first = verdicts[0] if verdicts else "missing"
    body = {"task_id": f"HumanEval/{number}", "n": len(verdicts), "c": verdicts.count("passed"), "verdict": first}
    return {**body, "verdicts": verdicts if len(verdicts) > 1 else []}


def _run(folder: Path, verdicts: list[list[str]], *, valid: bool = True, **options: Any) -> Path:
    """A report folder of a file of completions on the first problems of HumanEval."""
    judged = [one for one in verdicts if one]
    rate = sum(one.count("passed") / len(one) for one in judged) / len(judged)
    result = {
        "name": "humaneval", "model": "x.jsonl", "engine": "file", "profile": "standard@1", "n_problems": len(verdicts),
        "n_samples": max(map(len, verdicts)), "decoding": {}, "n_judged": len(judged),
        "complete": len(judged) == len(verdicts), "pass_at_k": {"1": rate},
        "interval": {"1": {"low": 0.0, "high": 1.0, "level": 0.95, "method": "wilson"}},
        "problems": [_problem(number, one) for number, one in enumerate(verdicts)],
    }  # fmt: skip
    machine = {"system": "Linux", "processor": "x", "cores": 2}
    run = {
        "tool": {"version": "0.1.0"}, "engines": [], "python": "3.11", "machine": machine, "valid": valid,
        "options": {**_OPTIONS, **options}, "started": "2026-11-01T10:00:00+00:00", "seconds": 1.0,
    }  # fmt: skip
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps({"schema": 1, "run": run, "benchmarks": [result]}))
    return folder


def _answered(folder: Path, completion: str, verdict: str) -> None:
    """What --apr-report leaves of the one sample of HumanEval/0."""
    who = {"task_id": "HumanEval/0", "sample": 0}
    [slug] = ["humaneval-x.jsonl-file-standard@1"]
    for kind, body in (("verdicts", {"verdict": verdict, "how": "verbatim"}), ("samples", {"completion": completion})):
        (folder / kind).mkdir()
        text = json.dumps({**who, **body}).encode() + b"\n"
        packed = kind == "samples"
        (folder / kind / f"{slug}.jsonl{'.gz' if packed else ''}").write_bytes(gzip.compress(text) if packed else text)


def _refused(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    assert main(words) == code
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    return told


def test_compare_of_a_run_whose_self_check_failed_decides_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever of the two it is: exit code 3, and no figure."""
    good, bad = _run(tmp_path / "good", [["passed"]]), _run(tmp_path / "bad", [["passed"]], valid=False)
    for words in ([str(good), str(bad)], [str(bad), str(good)]):
        assert f"{bad}: INVALID: its self-check failed" in _refused(["compare", *words], capsys, code=3)


@pytest.mark.parametrize(
    ("a", "b", "code"), [(20, 10, 1), (10, 20, 0), (20, 17, 0)], ids=["fewer", "more", "fewer by chance"]
)
def test_compare_ends_with_1_only_where_b_solves_fewer_beyond_chance(tmp_path: Path, a: int, b: int, code: int) -> None:
    """The exit code is what a gate goes by: ten lost of twenty are more than chance, three are not."""
    runs = [_run(tmp_path / name, [["passed"]] * n + [["wrong"]] * (20 - n)) for name, n in (("a", a), ("b", b))]
    assert main(["compare", *map(str, runs)]) == code


def test_compare_tells_of_problems_from_other_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tasks of the same names may be other problems; runs of one file say nothing of it."""
    runs = [_run(tmp_path / name, [["passed"]]) for name in "abc"]
    for run, digest in zip(runs, ("0" * 64, "f" * 64, "0" * 64), strict=True):
        body = json.loads((run / "results.json").read_text())
        body["run"]["datasets"] = {"humaneval": digest}
        (run / "results.json").write_text(json.dumps(body))
    assert main(["compare", str(runs[0]), str(runs[1])]) == 0
    assert "humaneval: A and B read other files of problems: 000000000000, ffffffffffff" in capsys.readouterr().err
    assert main(["compare", str(runs[0]), str(runs[2])]) == 0
    assert capsys.readouterr().err == ""


def test_compare_of_a_recipes_runs_takes_the_model_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the one it began with, which the run holds as well."""
    runs = []
    for name, made in (("a", "passed"), ("b", "wrong")):
        runs.append(_run(tmp_path / name, [["passed"]]))
        results = json.loads((runs[-1] / "results.json").read_text())
        [first] = results["benchmarks"]
        last = {**first, "recipe": "recipe-a", "after": "finetune", "problems": [_problem(0, [made])]}
        results["benchmarks"] = [{**first, "recipe": "recipe-a", "after": "import"}, last]
        (runs[-1] / "results.json").write_text(json.dumps(results))
    assert main(["compare", *map(str, runs)]) == 0
    assert "humaneval: 1/1 -> 0/1" in capsys.readouterr().out


def test_pairs_of_a_run_whose_self_check_failed_are_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was passed or failed is not known."""
    bad = _run(tmp_path / "bad", [["passed", "wrong"]], valid=False)
    told = _refused(["pairs", str(bad), "--out", str(tmp_path / "p"), "--against", "none"], capsys, code=3)
    assert "INVALID" in told
    assert not (tmp_path / "p").exists()


def test_compare_says_what_each_run_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A benchmark neither has, and a model the run has not."""
    one = str(_run(tmp_path / "one", [["passed"]]))
    told = _refused(["compare", one, one, "--benchmark", "mbpp"], capsys)
    assert "the runs share no benchmark 'mbpp': A has humaneval; B has humaneval" in told
    told = _refused(["compare", one, one, "--model", "y"], capsys)
    assert "the run has: x.jsonl by file; narrow with --model, --engine" in told


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": 1, "run', "schema 1: Invalid JSON: EOF while parsing a string"),
        ("[]", "schema 1: Input should be an object"),
        ('{"schema": 2}', "schema 1: schema: Input should be 1"),
    ],
    ids=["cut off", "no object", "other schema"],
)
def test_results_that_cannot_be_read_are_one_line_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, reason: str
) -> None:
    """The same words from every command that reads one run."""
    (tmp_path / "results.json").write_text(text)
    for words in (["compare", str(tmp_path), str(tmp_path)], ["contracts", "--results", str(tmp_path)]):
        assert f"{tmp_path}: no results.json of {reason}" in _refused(words, capsys)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["HumanEval/9"], "no task 'HumanEval/9'; the run has HumanEval/0 to HumanEval/1"),
        (["HumanEval/0", "--sample", "3"], "no sample 3 of task 'HumanEval/0'; accepted: 0 to 0"),
        (["HumanEval/1"], "task 'HumanEval/1' has no verdict: the file of completions has no line for it"),
        (["HumanEval/0"], "the verdict of task 'HumanEval/0' is not in verdicts/"),
    ],
    ids=["task", "sample", "not answered", "no files"],
)
def test_explain_says_why_there_is_no_such_sample(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    """And what there is."""
    folder = _run(tmp_path / "run", [["passed"], []])
    assert reason in _refused(["explain", str(folder), *words], capsys)


def test_explain_of_a_file_that_is_cut_off_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a full disk leaves it."""
    folder = _run(tmp_path / "run", [["wrong"]])
    _answered(folder, "    return None\n", "wrong")
    [file] = (folder / "samples").iterdir()
    file.write_bytes(file.read_bytes()[:20])
    told = _refused(["explain", str(folder), "HumanEval/0"], capsys)
    assert f"{file}: cannot be read: " in told
    assert "allowed: a file as --apr-report wrote it" in told


def test_explain_shows_that_an_answer_is_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A section that is missing would leave one guessing."""
    folder = _run(tmp_path / "run", [["no-code"]])
    _answered(folder, "", "no-code")
    assert main(["explain", str(folder), "HumanEval/0"]) == 0
    assert "--- raw completion\n(empty)\n" in capsys.readouterr().out


def test_explain_reruns_under_the_limits_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that needs two seconds, in a run that gave it a third of one: not the usual ten."""
    folder = _run(tmp_path / "run", [["timeout"]], apr_cpu_seconds="0.3")
    _answered(folder, "    import time\n    while time.process_time() < 2: pass\n", "timeout")
    assert main(["explain", str(folder), "HumanEval/0", "--rerun"]) == 0
    assert "verdict: timeout at level" in capsys.readouterr().out.partition("run again")[2]


def test_usage_error_names_the_help_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the arguments are listed."""
    assert "(see apr-leaderboard compare --help)" in _refused(["compare", "a"], capsys)
    assert "(see apr-leaderboard --help)" in _refused(["compar"], capsys)


def test_submission_to_what_is_no_repository_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a recipe's submit stage refuses it."""
    monkeypatch.chdir(tmp_path)
    one = str(_run(tmp_path / "one", [["passed"]]))
    assert "--repo: got 'me'; accepted: OWNER/NAME" in _refused(["submit", one, "--repo", "me"], capsys)
    assert not (tmp_path / "submission").exists()


def test_trouble_of_the_system_is_one_line_and_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Here a file where a folder is to be made."""
    (tmp_path / "file").write_text("")
    assert main(["sweep", "humaneval", "--model", "smoke", "--out", str(tmp_path / "file" / "all")]) == 3
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == f"apr-leaderboard: {tmp_path}/file/all: Not a directory"
    assert len(told) == 2  # and that it is running
