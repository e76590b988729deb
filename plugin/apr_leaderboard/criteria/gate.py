"""A release manager's question of a run's results: may this go out?

Three gates. `criteria`: every criterion that the profile requires passes. `defects`: nothing fails that the known
defects do not explain. `regression`: nothing is worse than in an earlier run. Each ends with 0 (yes), 1 (no) or 2 (the
run decides nothing, because our side broke or a self-check failed).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from apr_leaderboard.bench import compare_counts
from apr_leaderboard.model.criterion import CriteriaFile, Defect, DefectsFile
from apr_leaderboard.model.results import BenchmarkResult, CriterionOutcome, CriterionResult, Results

__all__ = ["GATES", "GateName", "GateVerdict", "by_criterion", "judge_gate", "known_behind", "worst"]

GateName = Literal["criteria", "defects", "regression"]
GATES: tuple[GateName, ...] = ("criteria", "defects", "regression")

_ORDER = tuple(CriterionOutcome)


@dataclass(frozen=True)
class GateVerdict:
    """A gate's answer: its exit code, and the lines that say why."""

    gate: GateName
    exit_code: int
    lines: tuple[str, ...]


def worst(outcomes: Iterable[CriterionOutcome]) -> CriterionOutcome:
    """The outcome of a whole whose parts came out so."""
    return max(outcomes, key=_ORDER.index)


def by_criterion(results: Sequence[CriterionResult]) -> dict[tuple[str, str, str], list[CriterionResult]]:
    """The tests of each (criterion, engine, model), in the order of the criteria's numbers."""
    found: dict[tuple[str, str, str], list[CriterionResult]] = {}
    for one in sorted(results, key=lambda one: one.key):
        found.setdefault((one.criterion, one.engine, one.model), []).append(one)
    return found


def judge_gate(
    gate: GateName, run: Results, criteria: CriteriaFile, defects: DefectsFile, baseline: Results | None = None
) -> GateVerdict:
    """What the gate says of a run. `baseline` is what `regression` compares with."""
    trouble = list(_invalid(run))
    if gate == "regression" and baseline is not None:
        trouble += _no_baseline(baseline)
    if trouble:
        return GateVerdict(gate, 2, tuple(trouble))
    if gate == "criteria":
        against, notes = _criteria(run, criteria)
    elif gate == "defects":
        against, notes = _defects(run, defects)
    else:
        assert baseline is not None, "the options ask for a baseline"
        against, notes = _regression(run, baseline)
    return GateVerdict(gate, 1 if against else 0, (*against, *notes))


def _invalid(run: Results) -> Iterator[str]:
    if not run.run.valid:
        yield "invalid run: a self-check failed"
    if not run.criteria:
        yield "invalid run: no criterion was asked"
    for one in run.criteria:
        if one.outcome is CriterionOutcome.ERROR:
            yield f"invalid run: {_name(one)}: {one.reason}"
        if one.saboteur is not None:
            yield f"invalid run: {_name(one)} ran on a saboteur"


def _no_baseline(baseline: Results) -> Iterator[str]:
    """What is worse than nothing, or than what was broken on purpose, cannot be said."""
    if not baseline.run.valid:
        yield "invalid baseline: a self-check failed"
    if not baseline.criteria and not baseline.benchmarks:
        yield "invalid baseline: it holds no criterion and no score"
    for one in baseline.criteria:
        if one.saboteur is not None:
            yield f"invalid baseline: {_name(one)} ran on a saboteur"


def _criteria(run: Results, criteria: CriteriaFile) -> tuple[list[str], list[str]]:
    """A criterion that was not asked is no pass either."""
    against: list[str] = []
    notes: list[str] = []
    asked = by_criterion(run.criteria)
    for (id_, engine, model), tests in asked.items():
        criterion = criteria.named(id_)
        scope = "required" if criterion is None else criterion.scope(tests[0].profile)
        bad = [one for one in tests if one.outcome is not CriterionOutcome.PASS]
        for one in bad:
            line = f"{_name(one)}: {one.outcome.value}: {one.reason}"
            hurts = one.outcome is CriterionOutcome.FAIL or scope == "required"
            (against if hurts else notes).append(line if hurts else f"{line} (this profile: {scope})")
        del engine, model
    profile = run.criteria[0].profile
    for criterion in criteria.criteria:
        if criterion.scope(profile) == "required" and criterion.id not in {key[0] for key in asked}:
            against.append(f"{criterion.id}: not asked, and the profile {profile} requires it")
    return against, notes


def _defects(run: Results, defects: DefectsFile) -> tuple[list[str], list[str]]:
    against, notes = [], []
    for one in run.criteria:
        if one.outcome in (CriterionOutcome.PASS, CriterionOutcome.NOT_RUN):
            continue
        known = known_behind(one, defects)
        refusal = defects.refusal(one.criterion, one.part, one.engine)
        if one.outcome is CriterionOutcome.FAIL and known:
            notes.append(f"{_name(one)}: fails by known defects: {', '.join(defect.id for defect in known)}")
        elif one.outcome is CriterionOutcome.BLOCKED and (refusal is not None or known):
            notes.append(f"{_name(one)}: blocked, as known: {one.reason}")
        else:
            against.append(f"{_name(one)}: {one.outcome.value}, and no known defect explains it: {one.reason}")
    return against, notes


def known_behind(one: CriterionResult, defects: DefectsFile) -> tuple[Defect, ...]:
    """The known defects of the engine's version that explain why a test does not pass; none where it does."""
    if one.outcome not in (CriterionOutcome.FAIL, CriterionOutcome.BLOCKED):
        return ()
    return defects.behind(one.criterion, one.part, one.engine, _plain_version(one.engine_version))


def _regression(run: Results, baseline: Results) -> tuple[list[str], list[str]]:
    against, notes = [], []
    now = {one.key: one for one in run.criteria}
    for before in baseline.criteria:
        after = now.get(before.key)
        if after is None:
            if before.outcome is CriterionOutcome.PASS:
                against.append(f"{_name(before)}: passed in the baseline and was not asked now")
        elif _ORDER.index(after.outcome) > _ORDER.index(before.outcome):
            against.append(f"{_name(after)}: {before.outcome.value} before, {after.outcome.value} now: {after.reason}")
        elif after.outcome is not before.outcome:
            notes.append(f"{_name(after)}: {before.outcome.value} before, {after.outcome.value} now")
    scored = {one.id: one for one in run.benchmarks}
    for old in baseline.benchmarks:
        new = scored.get(old.id)
        if new is None:
            against.append(f"{old.id}: scored in the baseline and not now")
            continue
        lines, worse = _paired(old, new)
        (against if worse else notes).append(lines)
    return against, notes


def _paired(old: BenchmarkResult, new: BenchmarkResult) -> tuple[str, bool]:
    """Both runs on the tasks that both judged, paired; a loss beyond chance is worse, as are lost verdicts."""
    before, after = _counts(old), _counts(new)
    if not before:
        return f"{old.id}: the baseline judged no task of it", False
    missing = sorted(before.keys() - after.keys())
    if missing:
        return f"{old.id}: {len(missing)} tasks judged in the baseline have no verdict now, such as {missing[0]}", True
    found = compare_counts(before, {task: after[task] for task in before})
    return f"{old.id}: {found.statement()}", found.significant and found.difference < 0


def _counts(one: BenchmarkResult) -> Mapping[str, tuple[int, int]]:
    return {problem.task_id: (problem.n, problem.c) for problem in one.problems if problem.n}


def _name(one: CriterionResult) -> str:
    return f"{one.criterion} {one.part} [{one.engine}, {one.model}]"


def _plain_version(version: str) -> str:
    """`apr 0.72.3 (abc)` and `0.72.3+jax1` as `0.72.3`."""
    words = [word for word in version.replace("+", " ").split() if word[:1].isdigit()]
    return words[0] if words else version
