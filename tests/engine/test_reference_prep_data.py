"""The reference engine cleaning a dataset: each step, and the whole through the program."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apr_leaderboard.engine.dataset import Row, read_rows
from apr_leaderboard.engine.jobs import PrepDataJob
from apr_leaderboard.engine.reference import prep_data
from apr_leaderboard.engine.reference.argv import build_argv, checkpoint_of
from apr_leaderboard.engine.reference.cli import main
from apr_leaderboard.engine.reference.prep_data import Wishes
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.stage import PrepDataParams

_TASK = "Check if in the given list of numbers any two are closer to each other than the threshold"


def _row(question: str, answer: str = "def f(a):\n    return a + 1", **more: str) -> Row:
    values = {"instruction": question, "response": answer, **more}
    return Row(json.dumps(values), values)


def _data(folder: Path) -> tuple[Path, Path]:
    rows = [_row(f"Write function number {i} that adds {word}", category="ab"[i % 3 == 0])
            for i, word in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight"])]  # fmt: skip
    rows += [rows[0], _row(_TASK, category="a"), _row("Write it", "def f(:\n", category="a")]
    (folder / "data.jsonl").write_text("".join(row.line + "\n" for row in rows), encoding="utf-8")
    bench = {"task_id": "T/0", "prompt": f'def close():\n    """{_TASK}."""\n', "canonical_solution": "    pass"}
    (folder / "bench.jsonl").write_text(json.dumps(bench) + "\n", encoding="utf-8")
    return folder / "data.jsonl", folder / "bench.jsonl"


def test_audit_looks_and_changes_nothing() -> None:
    """Counts of what is there; every row stays."""
    rows = [_row("a b c"), _row("a b c"), _row("d e f", "")]
    step = prep_data.audit(rows, Wishes())
    assert step.rows == rows
    assert (step.figures["audit_exact_duplicates"], step.figures["audit_without_answer"]) == (1, 1)


def test_decontaminate_drops_what_stands_in_the_benchmark() -> None:
    """At the share asked for, and not below it."""
    rows = [_row(_TASK, "x"), _row("Something else that nobody has asked in this benchmark before", "y")]
    against = (_row(f"Please: {_TASK}, soon"),)
    assert prep_data.decontaminate(rows, Wishes(against, ngram=5)).rows == rows[1:]
    assert prep_data.decontaminate(rows, Wishes(against, ngram=5, overlap=1.0)).rows == rows


def test_balance_leaves_as_many_of_each_and_repeats_nothing() -> None:
    """The rarest value sets the number; the seed chooses."""
    rows = [_row(f"number {i}", kind="even" if i % 4 else "odd") for i in range(16)]
    kept = prep_data.balance(rows, Wishes(balance_by="kind")).rows
    assert sorted(row.values["kind"] for row in kept) == ["even"] * 4 + ["odd"] * 4
    assert len({row.line for row in kept}) == 8
    assert kept == prep_data.balance(rows, Wishes(balance_by="kind")).rows
    with pytest.raises(RequestError, match="got 'level', which 16 of 16 samples lack; allowed: a key of all of them"):
        prep_data.balance(rows, Wishes(balance_by="level"))


def test_split_parts_the_rows_and_loses_none() -> None:
    """Every row is on one side; another seed parts them otherwise."""
    rows = [_row(f"number {i}") for i in range(20)]
    one, other = (prep_data.split(rows, Wishes(held_out=0.25, seed=seed)) for seed in (0, 1))
    assert len(one.aside) == 5
    assert sorted(row.line for row in [*one.rows, *one.aside]) == sorted(row.line for row in rows)
    assert one.aside != other.aside


def test_prep_data_program_leaves_lines_as_they_were_twice_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All steps: a subset of the input's lines, figures for each step, the same bytes in another folder."""
    data, bench = _data(tmp_path)
    params = PrepDataParams(
        dataset="x", steps=("audit", "dedup", "decontaminate", "quality", "balance", "split"), held_out=0.25
    )
    job = PrepDataJob(data, (bench,), params)
    assert checkpoint_of(job) == ("data.jsonl", "jsonl")
    for name in ("one", "two"):
        assert main(build_argv(job, tmp_path / name)[3:]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["record"]["figures"]
    dropped = {name: figures[f"n_dropped_{name}"] for name in params.steps}
    assert dropped == {"audit": 0, "dedup": 1, "decontaminate": 1, "quality": 1, "balance": 2, "split": 0}
    assert (figures["n_before"], figures["n_held_out"], figures["n_after"]) == (11, 2, 4)
    lines = {row.line for row in read_rows(data)}
    kept = read_rows(tmp_path / "one" / "data.jsonl")
    assert {row.line for row in kept} < lines
    for file in ("data.jsonl", "held-out.jsonl", "lineage.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_prep_data_that_leaves_nothing_is_a_wrong_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty dataset is no result."""
    data, _ = _data(tmp_path)
    job = PrepDataJob(data, (), PrepDataParams(dataset="x", steps=("quality",), min_quality=100))
    data.write_text(_row("Write it", "def f(:\n").line + "\n", encoding="utf-8")
    assert main(build_argv(job, tmp_path / "out")[3:]) == 3
    assert "quality: got 1 samples and leaves none" in capsys.readouterr().err
