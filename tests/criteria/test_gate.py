"""The gate: what a release manager is told, and with which exit code."""

from __future__ import annotations

from typing import Any

import pytest

from apr_leaderboard.criteria import GateName, judge_gate, worst
from apr_leaderboard.model.criterion import CriteriaFile, DefectsFile
from apr_leaderboard.model.results import (
    BenchmarkResult,
    CriterionOutcome,
    CriterionResult,
    Machine,
    ProblemResult,
    Results,
    RunInfo,
    Tool,
)

CRITERIA = CriteriaFile.model_validate(
    {
        "schema": 1,
        "criteria": [
            {"id": "AC-001", "claim": "a", "part": "models", "bound": "x", "smoke": "required", "real": "required"},
            {"id": "AC-002", "claim": "b", "part": "models", "bound": "x", "smoke": "if-possible", "real": "required"},
        ],
    }
)
DEFECTS = DefectsFile.model_validate(
    {
        "schema": 1,
        "defects": [
            {
                "id": "known", "engine": "apr", "versions": ["0.72.3"], "criteria": ["AC-001"], "command": "true",
                "expected": "x", "got": "y", "shown": {"output": "z"}, "found": "2026-11-23",
            }
        ],
        "refusals": [{"criterion": "AC-002", "engine": "apr", "words": "no draft"}],
    }
)  # fmt: skip


def one(id_: str, outcome: str, **more: Any) -> CriterionResult:
    """A test's result on apr 0.72.3."""
    given = {
        "part": "test_it",
        "engine": "apr",
        "engine_version": "0.72.3 (9c34)",
        "model": "smoke",
        "profile": "smoke",
    }
    return CriterionResult(criterion=id_, outcome=CriterionOutcome(outcome), reason="why", **{**given, **more})


def run(*results: CriterionResult, valid: bool = True, benchmarks: tuple[BenchmarkResult, ...] = ()) -> Results:
    """A run with these results."""
    info = RunInfo(
        tool=Tool(version="1"), engines=(), python="3", machine=Machine(system="s", processor="p", cores=1),
        valid=valid, started="2026-11-23T00:00:00", seconds=1.0,
    )  # fmt: skip
    return Results(run=info, criteria=results, benchmarks=benchmarks)


def scored(solved: set[int]) -> BenchmarkResult:
    """A benchmark of 40 problems, those solved."""
    problems = tuple(ProblemResult(task_id=str(i), n=1, c=int(i in solved), verdict="passed") for i in range(40))
    return BenchmarkResult(
        name="b", model="m", engine="apr", profile="p", n_problems=40, n_samples=1, n_judged=40, complete=True,
        pass_at_k={}, interval={}, problems=problems,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "results", "code"),
    [
        ("criteria", [one("AC-001", "pass")], 0),
        ("criteria", [one("AC-001", "pass"), one("AC-002", "blocked")], 0),
        ("criteria", [one("AC-001", "pass"), one("AC-002", "fail")], 1),
        ("criteria", [one("AC-001", "blocked")], 1),
        ("criteria", [one("AC-001", "not-run")], 1),
        ("criteria", [one("AC-002", "pass")], 1),
        ("defects", [one("AC-001", "fail")], 0),
        ("defects", [one("AC-001", "fail", engine_version="0.73.0")], 1),
        ("defects", [one("AC-002", "fail")], 1),
        ("defects", [one("AC-002", "blocked")], 0),
        ("defects", [one("AC-001", "not-run")], 0),
        ("criteria", [one("AC-001", "error")], 2),
        ("criteria", [one("AC-001", "pass", saboteur="broken")], 2),
        ("defects", [], 2),
    ],
)
def test_gate_of_outcomes_ends_with_its_code(gate: GateName, results: list[CriterionResult], code: int) -> None:
    """Pass alone is a pass; what is known is no surprise; our own trouble decides nothing."""
    assert judge_gate(gate, run(*results), CRITERIA, DEFECTS).exit_code == code


def test_gate_of_an_invalid_run_is_undecided() -> None:
    """A failed self-check leaves no score that counts."""
    assert judge_gate("criteria", run(one("AC-001", "pass"), valid=False), CRITERIA, DEFECTS).exit_code == 2


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [("pass", "pass", 0), ("pass", "fail", 1), ("pass", "not-run", 1), ("fail", "fail", 0), ("fail", "pass", 0)],
)
def test_regression_gate_against_a_baseline_wants_nothing_worse(before: str, after: str, code: int) -> None:
    """Each test against itself."""
    found = judge_gate("regression", run(one("AC-001", after)), CRITERIA, DEFECTS, run(one("AC-001", before)))
    assert found.exit_code == code


def test_regression_gate_where_a_test_is_gone_is_closed() -> None:
    """What passed and is not asked any more is no pass."""
    found = judge_gate("regression", run(one("AC-002", "pass")), CRITERIA, DEFECTS, run(one("AC-001", "pass")))
    assert (found.exit_code, "was not asked now" in found.lines[0]) == (1, True)


def test_regression_gate_of_scores_is_paired_and_states_its_power() -> None:
    """A loss beyond chance closes it; a flip or two do not."""
    passing = one("AC-001", "pass")
    base = run(passing, benchmarks=(scored(set(range(30))),))
    few = judge_gate("regression", run(passing, benchmarks=(scored(set(range(29))),)), CRITERIA, DEFECTS, base)
    many = judge_gate("regression", run(passing, benchmarks=(scored(set(range(10))),)), CRITERIA, DEFECTS, base)
    assert (few.exit_code, many.exit_code) == (0, 1)
    assert "found 80 % of the time" in few.lines[-1]


@pytest.mark.parametrize(
    ("baseline", "words"),
    [
        (run(), "it holds no criterion and no score"),
        (run(one("AC-001", "pass"), valid=False), "a self-check failed"),
        (run(one("AC-001", "fail", saboteur="broken")), "ran on a saboteur"),
    ],
)
def test_regression_gate_against_a_baseline_that_shows_nothing_is_undecided(baseline: Results, words: str) -> None:
    """Nothing is worse than nothing, nor than what was broken on purpose."""
    found = judge_gate("regression", run(one("AC-001", "fail")), CRITERIA, DEFECTS, baseline)
    assert (found.exit_code, words in found.lines[0]) == (2, True)


def test_regression_gate_of_a_score_that_the_baseline_never_judged_is_told() -> None:
    """It is no loss, and no crash."""
    passing, unjudged = one("AC-001", "pass"), scored(set()).model_copy(update={"problems": ()})
    base = run(passing, benchmarks=(unjudged,))
    found = judge_gate("regression", run(passing, benchmarks=(scored({1}),)), CRITERIA, DEFECTS, base)
    assert (found.exit_code, "the baseline judged no task of it" in found.lines[-1]) == (0, True)


def test_worst_outcome_of_several_is_the_wholes() -> None:
    """From pass over not-run, blocked and fail to error."""
    assert worst([CriterionOutcome.PASS, CriterionOutcome.BLOCKED]) is CriterionOutcome.BLOCKED
    assert worst([CriterionOutcome.FAIL, CriterionOutcome.NOT_RUN]) is CriterionOutcome.FAIL
