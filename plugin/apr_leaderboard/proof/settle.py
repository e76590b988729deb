"""What an obligation comes to: does each of its checks hold, and does each turn red on its saboteur?"""

from __future__ import annotations

import time
from collections.abc import Mapping

from apr_leaderboard.model.contract import Contract, Level, Obligation
from apr_leaderboard.model.results import ObligationOutcome, ObligationResult
from apr_leaderboard.proof.check import Check, NotHere, Refuted, Saboteur, run_saboteur
from apr_leaderboard.proof.lab import Lab

__all__ = ["settle"]

_WEAKEST_FIRST = (Level.MEASURED, Level.TESTED, Level.PROVED)


def settle(
    name: str, contract: Contract, obligation: Obligation, bound: Mapping[str, Check], lab: Lab
) -> ObligationResult:
    """Run every check of an obligation on the real thing and on its saboteur.

    An obligation is as strong as its weakest check: where one cannot be tried here it is open, unless another is
    refuted. What breaks on the way is an outcome (`error`) here, told with its words, so that one check's trouble hides
    no other's result.
    """
    tests = contract.tests_of(obligation.id)
    checks = [bound[test.id] for test in tests if test.open is None]
    started = time.monotonic()
    told: list[tuple[ObligationOutcome, Saboteur, str]] = []
    missing = [test.open for test in tests if test.open is not None]
    for check in checks:
        try:
            told.append(_settle_one(check, lab))
        except NotHere as needs:
            missing.append(str(needs))
    outcome = max((one[0] for one in told), key=list(ObligationOutcome).index, default=ObligationOutcome.OPEN)
    if missing and outcome in (ObligationOutcome.OPEN, ObligationOutcome.HOLDS):
        reasons = "; ".join(dict.fromkeys(missing))
        return _result(name, obligation, Level.OPEN, (ObligationOutcome.OPEN, Saboteur.NOT_RUN, reasons), started)
    saboteur = max((one[1] for one in told), key=list(Saboteur).index)
    level = next(level for level in _WEAKEST_FIRST if level in {check.level for check in checks})
    return _result(name, obligation, level, (outcome, saboteur, "; ".join(one[2] for one in told)), started)


def _settle_one(check: Check, lab: Lab) -> tuple[ObligationOutcome, Saboteur, str]:
    try:
        words = lab.run_once(check.id, lambda: check.run(lab))
    except Refuted as error:
        return ObligationOutcome.VIOLATED, Saboteur.NOT_RUN, f"{check.id}: {error}"
    except NotHere:
        raise
    except Exception as error:
        return ObligationOutcome.ERROR, Saboteur.NOT_RUN, f"{check.id}: {type(error).__name__}: {error}"
    saboteur, found = run_saboteur(check, lab)
    if saboteur is Saboteur.RED:
        return ObligationOutcome.HOLDS, saboteur, words
    return ObligationOutcome.HOLDS, saboteur, f"{check.id}: the saboteur is {saboteur.value}: {found}"


def _result(
    name: str,
    obligation: Obligation,
    level: Level,
    told: tuple[ObligationOutcome, Saboteur, str],
    started: float,
) -> ObligationResult:
    outcome, saboteur, words = told
    return ObligationResult(
        id=obligation.id,
        contract=name,
        level=level,
        outcome=outcome,
        saboteur=saboteur.value,
        evidence=words,
        seconds=round(time.monotonic() - started, 3),
    )
