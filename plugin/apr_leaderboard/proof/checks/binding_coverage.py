"""Binding coverage: how it is counted, that every binding can be asked, and that none is left over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, Final

from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.model.contract import Contract, Level, load_contract
from apr_leaderboard.model.results import ObligationOutcome, ObligationResult
from apr_leaderboard.model.yamlfile import Loaded
from apr_leaderboard.proof.check import Check, expect, measured, proved
from apr_leaderboard.proof.coverage import Coverage, coverage_of
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.registry import bind, built_in_checks

__all__ = ["CHECKS", "bound_contracts"]

Checks = Sequence[Check]


def bound_contracts(
    lab: Lab, change: Callable[[str, Checks], Checks]
) -> Iterator[tuple[Loaded[Contract], dict[str, Check]]]:
    """Every contract of the project with its checks, after `change`. What does not bind is refuted."""
    for file in sorted((lab.root / "contracts").glob("*.yaml")):
        loaded = load_contract(file)
        try:
            yield loaded, bind(loaded, change(file.stem, built_in_checks(file.stem)))
        except FileFormatError as error:
            expect(False, str(error))


def only_what_ran_counts(count: Callable[[Sequence[ObligationResult]], Coverage]) -> str:
    """Every set of up to three results: bound are those that hold with a red saboteur, and no others."""
    states = [
        (outcome, saboteur) for outcome in ObligationOutcome for saboteur in ("red", "green", "crashed", "not-run")
    ]
    for size in range(4):
        for drawn in product(states, repeat=size):
            want = sum(state == (ObligationOutcome.HOLDS, "red") for state in drawn)
            found = count([_result(number, *state) for number, state in enumerate(drawn)])
            expect((found.bound, found.total) == (want, size), f"{drawn}: {found.bound} of {found.total}, {want} bound")
            share = None if not size else want / size
            expect(found.share == share, f"{drawn}: a share of {found.share}")
    return "every set of up to three results in all 16 states"


def bindings_can_be_asked(change: Callable[[str, Checks], Checks], lab: Lab) -> str:
    """Every check is a function with a subject and another one broken, and each test has its own."""
    asked = 0
    for loaded, bound in bound_contracts(lab, change):
        for name, check in bound.items():
            expect(callable(check.property_), f"{name}: its property cannot be called")
            expect(check.subject is not check.saboteur, f"{name}: the saboteur is the subject itself")
            asked += 1
        expect(loaded.value.proof_obligations, f"{loaded.file}: no obligation")
    expect(asked > 0, "no contract has a binding")
    return f"{asked} checks"


def none_is_left_over(change: Callable[[str, Checks], Checks], lab: Lab) -> str:
    """No check without a test that names it."""
    count = sum(len(bound) for _, bound in bound_contracts(lab, change))
    expect(count > 0, "no contract has a binding")
    return f"{count} checks, each with its test"


def _result(number: int, outcome: ObligationOutcome, saboteur: Any) -> ObligationResult:
    return ObligationResult(
        id=f"X-{number}", contract="x", level=Level.TESTED, outcome=outcome, saboteur=saboteur, evidence=""
    )


def _as_written(name: str, checks: Checks) -> Checks:
    del name
    return checks


def _without_saboteurs(name: str, checks: Checks) -> Checks:
    del name
    return [Check(one.id, one.level, one.property_, one.subject, one.subject) for one in checks]


def _with_an_orphan(name: str, checks: Checks) -> Checks:
    return [*checks, Check(f"FALSIFY-{name.upper()}-999", Level.TESTED, only_what_ran_counts, 1, 2)]  # type: ignore[arg-type]


def _counts_all(results: Sequence[ObligationResult]) -> Coverage:
    held = [one.model_copy(update={"saboteur": "red"}) for one in results]
    return coverage_of(held)


CHECKS: Final = (
    proved("FALSIFY-BIND-001", only_what_ran_counts, coverage_of, _counts_all),
    measured("FALSIFY-BIND-002", bindings_can_be_asked, _as_written, _without_saboteurs),
    measured("FALSIFY-BIND-003", none_is_left_over, _as_written, _with_an_orphan),
)
