"""history, oracle, failures and pairs on recorded runs."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import Recorder, verdicts_of

from apr_leaderboard.bench import benchmark_named
from apr_leaderboard.cli import main
from apr_leaderboard.cli.benchdata import problems_of
from apr_leaderboard.cli.failures import recorded
from apr_leaderboard.model.results import GivenAnswers
from apr_leaderboard.report.analysis import JudgedAnswer, judged_answers, make_pairs, oracle_of


def _told(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_history_is_by_date_with_what_flipped(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """The first has nothing before it; the later ones name what they lost and gained, and p."""
    for day, verdicts in ((2, ["passed", "wrong", "passed"]), (1, ["passed", "passed", "wrong"])):
        recorder.run(f"r{day}", recorder.evaluation([[one] for one in verdicts]), day=day)
    first, second = _told(["history", "--reports", str(recorder.root)], capsys)
    assert (first["run"], first["lost"]) == ("r1", None)
    assert (second["lost"], second["gained"], second["p_value"]) == (["HumanEval/1"], ["HumanEval/2"], 1.0)


def test_history_keeps_sampled_and_greedy_apart(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """Another way of drawing answers is another series."""
    recorder.run("greedy", recorder.evaluation(verdicts_of(2, 4)), day=1)
    recorder.run("sampled", recorder.evaluation(verdicts_of(2, 4, 3), temperature=0.8), day=2)
    assert main(["history", "--reports", str(recorder.root)]) == 0
    told = capsys.readouterr().out
    assert "qwen-official@1, greedy" in told
    assert "qwen-official@1, T 0.8, 3 samples" in told
    assert all(entry["lost"] is None for entry in _told(["history", "--reports", str(recorder.root)], capsys))


def test_history_of_several_samples_goes_by_rates(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem is still solved by some sample, but by one of four where it was all."""
    for day, samples in ((1, ["passed"] * 4), (2, ["passed", "wrong", "wrong", "wrong"])):
        recorder.run(f"r{day}", recorder.evaluation([samples] * 12, temperature=0.8), day=day)
    _, second = _told(["history", "--reports", str(recorder.root)], capsys)
    assert (len(second["lost"]), second["gained"], second["solved"]) == (12, [], 12)
    assert second["p_value"] < 0.01


def test_history_holds_nothing_against_a_run_that_is_not_valid(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run after it is held against the one before it."""
    recorder.run("first", recorder.evaluation(verdicts_of(3, 4)), day=1)
    recorder.run("broken", recorder.evaluation(verdicts_of(0, 4)), day=2, valid=False)
    recorder.run("last", recorder.evaluation(verdicts_of(2, 4)), day=3)
    told = _told(["history", "--reports", str(recorder.root)], capsys)
    assert [one["lost"] for one in told] == [None, None, ["HumanEval/2"]]
    assert told[1]["caveat"] == "INVALID"


def test_history_says_whose_engine_is_only_stated(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """In the column where another run has its engine's version."""
    given = GivenAnswers(file="x.jsonl", sha256="0" * 64, stated=("engine", "model"))
    recorder.run("seen", recorder.evaluation(verdicts_of(2, 4)), day=1)
    recorder.run("told", recorder.evaluation(verdicts_of(3, 4), completions=given), day=2)
    seen, told = _told(["history", "--reports", str(recorder.root)], capsys)
    assert (seen["stated"], told["stated"], told["gained"]) == (False, True, ["HumanEval/2"])
    assert main(["history", "--reports", str(recorder.root), "--model", "0.5b"]) == 0
    assert re.search(r"stated +told$", capsys.readouterr().out, re.MULTILINE)


def test_history_of_nothing_is_refused(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """One line that says what fits."""
    recorder.run("a", recorder.evaluation(verdicts_of(1, 2)))
    assert main(["history", "--reports", str(recorder.root), "--model", "other"]) == 2
    assert "no run fits; accepted:" in capsys.readouterr().err


def test_oracle_splits_tasks_into_always_sometimes_never(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three runs over four tasks, counted by hand; an invalid run is left aside."""
    for name, verdicts in (("a", "ppff"), ("b", "pfpf"), ("c", "pfff")):
        letters = [["passed" if one == "p" else "wrong"] for one in verdicts]
        recorder.run(name, recorder.evaluation(letters, profile=f"{name}@1"))
    recorder.run("invalid", recorder.evaluation(verdicts_of(4, 4)), valid=False)
    told = _told(["oracle", "--reports", str(recorder.root)], capsys)
    assert (told["n"], told["best_of"]) == (4, 3)
    assert told["always"] == ["HumanEval/0"]
    assert told["sometimes"] == {"HumanEval/1": 1, "HumanEval/2": 1}
    assert told["never"] == ["HumanEval/3"]
    assert sorted(map(tuple, told["only_by"].values())) == [(), ("HumanEval/1",), ("HumanEval/2",)]


def test_oracle_needs_two_runs_of_a_named_benchmark(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, with what there is."""
    recorder.run("a", recorder.evaluation(verdicts_of(1, 2)))
    assert main(["oracle", "--reports", str(recorder.root)]) == 2
    assert "accepted: one with at least two runs; there are: humaneval (1)" in capsys.readouterr().err


@given(st.integers(2, 5).flatmap(lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1)))
def test_oracle_is_at_least_the_best_run_and_adds_up(table: list[list[bool]]) -> None:
    """Every task is in one of the three; no run solves more than all together, none less than always."""
    runs = {f"r{i}": {f"t{j}": row[i] for j, row in enumerate(table)} for i in range(len(table[0]))}
    found = oracle_of(runs)
    assert found.n == len(table)
    assert found.best_of >= max(found.solved_by_run.values())
    assert len(found.always) <= min(found.solved_by_run.values())
    assert found.best_of == sum(any(row) for row in table)


def test_failures_are_counted_by_verdict_and_error(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """The same message with other numbers counts as one; a time-out has no error, so its verdict names it."""
    verdicts = [["passed"], ["wrong"], ["wrong"], ["exception"], ["syntax"], ["timeout"]]
    folder = recorder.run("a", recorder.evaluation(verdicts))
    [told] = _told(["failures", str(folder)], capsys).values()
    assert (told["samples"], told["passed"]) == (6, 1)
    assert told["verdicts"] == {"wrong": 2, "exception": 1, "passed": 1, "syntax": 1, "timeout": 1}
    assert [(one["name"], one["count"]) for one in told["errors"]] == [
        ("AssertionError", 2),
        ("NameError", 1),
        ("SyntaxError", 1),
        ("timeout", 1),
    ]
    assert told["errors"][0]["messages"] == [["AssertionError: … is not …", 2]]


def test_failures_without_files_are_refused(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """results.json alone does not say why."""
    folder = recorder.run("a", recorder.evaluation(verdicts_of(1, 2)))
    for file in (folder / "evidence").iterdir():
        file.unlink()
    assert main(["failures", str(folder)]) == 2
    assert "has no evidence; accepted: a folder as --apr-report wrote it" in capsys.readouterr().err


def _answers(task: str, *told: tuple[str, bool], prompt: str = "Do it.") -> list[JudgedAnswer]:
    return [
        JudgedAnswer(task, number, prompt, text, "passed" if passed else "wrong", "fenced")
        for number, (text, passed) in enumerate(told)
    ]


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=6), max_size=5),
    st.none() | st.integers(1, 4),
)
def test_pairs_join_what_passed_with_what_failed_and_nothing_else(
    tasks: list[list[tuple[str, bool]]], most: int | None
) -> None:
    """For any verdicts: of one task, one each way, no pair twice, no text on both sides, never over the most."""
    answers = [one for number, told in enumerate(tasks) for one in _answers(f"t{number}", *told)]
    made = make_pairs(answers, {}, most=most)
    by_text: dict[tuple[str, str], set[bool]] = {}
    for one in answers:
        by_text.setdefault((one.task_id, one.answer), set()).add(one.passed)
    for pair in made.pairs:
        assert by_text[(pair["task_id"], pair["chosen"])] == {True}
        assert by_text[(pair["task_id"], pair["rejected"])] == {False}
    assert len({tuple(sorted(pair.items())) for pair in made.pairs}) == len(made.pairs)
    counts = [sum(pair["task_id"] == f"t{number}" for pair in made.pairs) for number in range(len(tasks))]
    assert most is None or max(counts, default=0) <= most


def test_pairs_use_every_answer_before_any_twice() -> None:
    """Three right and three wrong, at most three: each of the six once."""
    told = [(text, text in "abc") for text in "adbecf"]
    made = make_pairs(_answers("t", *told), {}, most=3)
    assert sorted(text for pair in made.pairs for text in (pair["chosen"], pair["rejected"])) == list("abcdef")
    assert made.over_the_most == 6


def test_equal_and_torn_answers_give_no_pairs() -> None:
    """White space makes no other answer; a text that once passed and once failed says nothing."""
    made = make_pairs(_answers("t", ("x = 1", True), ("x  =  1\n", True), ("y", True), ("y", False), ("z", False)), {})
    assert [(pair["chosen"], pair["rejected"]) for pair in made.pairs] == [("x = 1", "z")]
    assert made.duplicates == 3


def test_task_that_repeats_a_held_out_problem_is_left_out() -> None:
    """Half of the problem's ten-word runs are enough; another task stays."""
    problem = "write a function that returns the sum of all even numbers in a list of whole numbers given"
    copied = _answers("copied", ("a", True), ("b", False), prompt=f"Please {problem}, thanks")
    own = _answers("own", ("a", True), ("b", False), prompt="Reverse the words of a sentence, keeping its spaces.")
    made = make_pairs([*copied, *own], {"HumanEval/7": problem})
    assert {pair["task_id"] for pair in made.pairs} == {"own"}
    assert made.contaminated == {"copied": "HumanEval/7"}


def test_pairs_command_writes_what_the_align_stage_reads(
    recorder: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSONL with prompt, chosen and rejected; a run of HumanEval itself is no training material."""
    folder = recorder.run("a", recorder.evaluation([["passed", "wrong", "passed"]] * 3, temperature=0.8))
    out = tmp_path / "made" / "pairs.jsonl"
    words = ["pairs", str(folder), "--out", str(out), "--against", "humaneval"]
    told = _told(words, capsys)["humaneval"]
    assert (told["pairs"], told["tasks_with_pairs"]) == (6, 3)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert {frozenset(row) for row in rows} == {frozenset({"task_id", "prompt", "chosen", "rejected"})}
    assert rows[0]["prompt"] == "Solve problem 0."


def test_fence_that_a_stop_string_cut_off_is_closed_again(recorder: Recorder) -> None:
    """What was put into the model's mouth and what ended it are part of the answer one learns from."""
    folder = recorder.run("a", recorder.evaluation([["passed"]], answers=[["def f(): pass"]]))
    [file] = (folder / "samples").iterdir()
    line = json.loads(gzip.decompress(file.read_bytes()))
    for stop, end in ((["\n```"], "\n```"), (["\nprint("], "")):
        line["prompt"] |= {"prefill": "```python\n", "stop": stop}
        file.write_bytes(gzip.compress(json.dumps(line).encode() + b"\n"))
        run = recorded(folder)
        [found] = judged_answers(run, run.results.benchmarks[0])
        assert found.answer == f"```python\ndef f(): pass{end}"


def test_pairs_of_one_sample_a_problem_are_refused(
    recorder: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is nothing to prefer."""
    folder = recorder.run("a", recorder.evaluation(verdicts_of(1, 2)))
    assert main(["pairs", str(folder), "--out", str(tmp_path / "x"), "--against", "none"]) == 2
    assert "has 1 sample a problem; accepted: --apr-samples 2 or more" in capsys.readouterr().err


def test_humaneval_prompts_in_the_samples_are_found_again(
    recorder: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the real benchmark's prompts as questions nothing is left, and exit code 1 says so."""
    problems = problems_of(benchmark_named("humaneval"))[:20]
    folder = recorder.run("a", recorder.evaluation([["passed", "wrong"]] * 20, temperature=0.8))
    [file] = (folder / "samples").iterdir()
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    for line in lines:
        number = int(line["task_id"].rpartition("/")[2])
        line["prompt"]["messages"][0]["content"] = problems[number].instruction
    file.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    out = tmp_path / "pairs.jsonl"
    told = _told(["pairs", str(folder), "--out", str(out), "--against", "humaneval"], capsys, code=1)["humaneval"]
    assert len(told["contaminated"]) == 20
    assert told["contaminated"]["HumanEval/3"] == "humaneval::HumanEval/3"
    assert out.read_text() == ""


@pytest.mark.parametrize("command", ["leaderboard", "history", "plots", "oracle", "failures", "pairs", "sweep"])
def test_help_says_what_a_command_is_for(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has a sentence and names its options."""
    assert main([command, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"apr-leaderboard {command}" in told
    assert "--json" in told or command == "leaderboard"


def test_two_engines_of_one_run_are_told_apart(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """compare takes one for A and one for B; failures wants to know which."""
    folder = recorder.run(
        "a", recorder.evaluation(verdicts_of(3, 4)), recorder.evaluation(verdicts_of(1, 4), engine="apr")
    )
    told = _told(["compare", str(folder), str(folder), "--engine", "reference,apr"], capsys)["humaneval"]
    assert (told["solved_a"], told["solved_b"]) == (3, 1)
    assert main(["failures", str(folder)]) == 2
    assert "narrow with --model, --engine" in capsys.readouterr().err
    assert main(["failures", str(folder), "--engine", "apr"]) == 0
    assert "1 of 4 samples passed" in capsys.readouterr().out
    assert main(["compare", str(folder), str(folder), "--engine", "a,b,c"]) == 2
    assert "--engine: got 'a,b,c'; accepted: one engine, or two with a comma between" in capsys.readouterr().err
