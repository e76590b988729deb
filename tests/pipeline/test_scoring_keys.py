"""What a stored verdict hangs on, and what becomes of verdicts that were on their way."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from apr_leaderboard.errors import RequestError
from apr_leaderboard.pipeline import EvaluationScore, Settings, Workbench
from apr_leaderboard.sandbox import environment
from apr_leaderboard.store import Store

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

_SUITE = """\
name: four
format: humaneval
data:
  - source: four.jsonl
split: {{first: {first}, last: {last}}}
"""


def _workbench(
    bench: Bench, samples: Sequence[tuple[str, str]], suites: Path | None = None, **wishes: Any
) -> Workbench:
    file = bench.path / "samples.jsonl"
    text = "".join(json.dumps({"task_id": task, "completion": body}) + "\n" for task, body in samples)
    if not file.exists() or file.read_text() != text:  # another workbench may have it open
        file.write_text(text)
    return Workbench(
        root=bench.path,
        store_root=bench.path / "store",
        run_folder=bench.path / "store" / "runs" / "run",
        settings=Settings(completions=file, **wishes),
        make_engine=lambda _: pytest.fail("no engine is needed"),
        suite_folders=() if suites is None else (suites,),
    )


def _scored(workbench: Workbench, suite: str = "smoke") -> EvaluationScore:
    [evaluation] = workbench.standalone(suite)
    try:
        return workbench.score(evaluation)
    finally:
        workbench.close()


def _rows(root: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (root / "recipes" / "suites" / "smoke.jsonl").read_text().splitlines()]


@pytest.fixture
def right(project_root: Path) -> list[tuple[str, str]]:
    """A right answer to each of the smoke suite's problems."""
    return [(row["task_id"], row["canonical_solution"]) for row in _rows(project_root)]


def test_verdicts_of_the_same_file_are_taken_from_the_store(bench: Bench, right: list[tuple[str, str]]) -> None:
    """The second scoring runs nothing."""
    first, second = (_scored(_workbench(bench, right)) for _ in range(2))
    assert (first.n_solved, first.cached) == (16, False)
    assert (second.n_solved, second.cached) == (16, True)


@pytest.mark.parametrize(
    "wishes", [{"cpu_seconds": 3.0}, {"sandbox": "process"}, {"prompt": "qwen-official"}, {"limit": 8}, {"seed": 2}]
)
def test_verdicts_judged_otherwise_have_a_key_of_their_own(
    bench: Bench, right: list[tuple[str, str]], wishes: dict[str, Any]
) -> None:
    """Limits, level, prompt profile, problems; what has no say in a given file's verdicts is in no key."""
    keys = []
    for more in ({}, wishes):
        workbench = _workbench(bench, right, **more)
        keys.append(workbench._scorer(workbench.standalone("smoke")[0]).node.key)
        workbench.close()
    assert (keys[0] == keys[1]) == ("seed" in wishes)


def test_limit_takes_the_first_problems_of_a_file_that_answers_all(bench: Bench, right: list[tuple[str, str]]) -> None:
    """The other lines are of known tasks, and no mistake."""
    workbench = _workbench(bench, right, limit=8)
    score = _scored(workbench)
    assert (score.n_solved, score.result.n_problems, score.result.complete) == (8, 8, False)


def test_verdicts_of_other_answers_have_a_key_of_their_own(bench: Bench, right: list[tuple[str, str]]) -> None:
    """One more blank in the file is another file."""
    keys = set()
    for samples in (right, [(task, f"{body} ") for task, body in right]):
        workbench = _workbench(bench, samples)
        keys.add(workbench._scorer(workbench.standalone("smoke")[0]).node.key)
        workbench.close()
    assert len(keys) == 2


def test_verdicts_of_other_packages_are_not_taken(
    bench: Bench, right: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An answer that failed for want of a package is judged again once that is there."""
    assert not _scored(_workbench(bench, right)).cached
    (tmp_path / "site" / "numpy-99.0.dist-info").mkdir(parents=True)
    before = environment()
    monkeypatch.setattr("apr_leaderboard.sandbox.view.sysconfig.get_path", lambda _: str(tmp_path / "site"))
    after = environment()
    assert before["python"] == after["python"]
    assert before["packages"] != after["packages"]
    monkeypatch.undo()
    monkeypatch.setattr("apr_leaderboard.pipeline.scoring.environment", lambda: after)
    assert not _scored(_workbench(bench, right)).cached


def test_verdicts_of_another_split_of_the_same_file_are_not_taken(
    bench: Bench, tmp_path: Path, project_root: Path
) -> None:
    """As many problems of the same bytes, but not the same ones: each verdict stays with its task."""
    suites = tmp_path / "own"
    suites.mkdir()
    rows = _rows(project_root)[:4]
    (suites / "four.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = [("smoke/1", rows[1]["canonical_solution"]), ("smoke/2", "    return None\n")]
    for first, last in ((0, 2), (1, 3)):
        (suites / "four.yaml").write_text(_SUITE.format(first=first, last=last))
        score = _scored(_workbench(bench, samples, suites), "four")
        told = {problem.task_id: problem.verdict for problem in score.result.problems if problem.n}
        assert told == {"smoke/1": "passed", "smoke/2": "wrong"}
        assert not score.result.complete


def test_spoilt_line_of_a_journal_is_judged_again(bench: Bench, right: list[tuple[str, str]]) -> None:
    """What a power cut left of a block, and what is no verdict, cost a program each, not the run."""
    workbench = _workbench(bench, right)
    [evaluation] = workbench.standalone("smoke")
    folder = workbench._scorer(evaluation).folder
    folder.mkdir(parents=True)
    good = {"index": 0, "sample": 0, "how": "function", "verdict": "wrong", "cpu": 0.0}
    lines = [b'\0\0\0{"index": 1}\n', b'{"index": 1, "sample": 0}\n', b"[]\n", json.dumps(good).encode() + b"\n"]
    (folder / "1-1.jsonl").write_bytes(b"".join(lines) + b'{"index": 2, "sample"')
    assert _scored(workbench).n_solved == 15


def test_worker_that_comes_after_the_commit_judges_nothing_again(bench: Bench, right: list[tuple[str, str]]) -> None:
    """The journals it would have read are gone; the store has what was in them."""
    late = _workbench(bench, right)
    [evaluation] = late.standalone("smoke")
    late.judge(evaluation, 0)
    assert _scored(_workbench(bench, right)).n_solved == 16
    late._scorer(evaluation).sandbox = lambda _: pytest.fail("nothing is left to run")
    assert late.judge(evaluation, 15).result.c == 1
    late.close()


def test_journals_left_by_a_run_killed_while_it_committed_are_removed(
    bench: Bench, right: list[tuple[str, str]]
) -> None:
    """The verdicts were in the store already; the next run that wants them tidies up."""
    workbench = _workbench(bench, right)
    folder = workbench._scorer(workbench.standalone("smoke")[0]).folder
    assert _scored(workbench).n_solved == 16
    folder.mkdir(parents=True)
    (folder / "1-1.jsonl").write_text("")
    assert _scored(_workbench(bench, right)).cached
    assert not folder.exists()


def test_gc_removes_verdicts_that_nobody_went_on_with(tmp_path: Path) -> None:
    """Old journals go, as other partial work does; young ones and what is not ours stay."""
    store = Store(tmp_path / "store")
    old, young, other = (store.layout.judging / name for name in ("a" * 64, "b" * 64, "mine"))
    for folder in (old, young, other):
        folder.mkdir(parents=True)
        (folder / "1-1.jsonl").write_text("{}\n")
    long_ago = time.time() - 40 * 86_400
    for path in (old / "1-1.jsonl", old, other / "1-1.jsonl", other):
        os.utime(path, (long_ago, long_ago))
    assert store.gc(dry_run=True).leftovers == [f"judging/{'a' * 64}"]
    assert old.exists()
    store.gc()
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def test_benchmark_asked_with_two_settings_in_one_run_is_refused(
    bench: Bench, project_root: Path, tmp_path: Path
) -> None:
    """A report could not tell them apart, and one would have had the other's verdicts."""
    suites = tmp_path / "recipes" / "suites"
    suites.unlink()
    suites.mkdir()
    for name in ("smoke.yaml", "smoke.jsonl"):
        (suites / name).symlink_to(project_root / "recipes" / "suites" / name)
    (suites / "both.yaml").write_text("schema: 1\nname: both\ntitle: Both\nbenchmarks:\n  smoke: {max_tokens: 32}\n")
    workbench = bench.workbench()
    workbench.settings = Settings(engines=("reference",), model="smoke")
    workbench.standalone("smoke")
    with pytest.raises(RequestError, match="smoke is asked twice in one run, with max_tokens 64 and max_tokens 32"):
        workbench.standalone("both")
