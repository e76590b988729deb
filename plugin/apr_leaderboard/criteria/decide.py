"""What a test of a criterion comes to: one outcome, with the evidence the trial kept."""

from __future__ import annotations

import re
from collections.abc import Callable

from apr_leaderboard.criteria.trial import SUITE, Trial, refusal_behind
from apr_leaderboard.errors import EngineError, HarnessError, SourceUnavailableError, StageFailedError
from apr_leaderboard.model.criterion import Criterion, Refusal
from apr_leaderboard.model.results import CriterionOutcome, CriterionResult
from apr_leaderboard.proof import NotHere, Refuted

__all__ = ["decide"]

_MOST_WORDS = 2000


def decide(trial: Trial, criterion: Criterion, test: Callable[[], object], refusal: Refusal | None) -> CriterionResult:
    """Run `test` and say what came of it. `refusal` is what the engine is known to refuse here.

    Never raises for what a candidate or an engine did; what breaks on our side is raised as it is, and a test that
    measured nothing raises `HarnessError`.
    """
    outcome, reason, words = _outcome(trial, criterion, test)
    if refusal is not None:
        outcome, reason = _against(refusal, outcome, reason, words)
    return CriterionResult(
        criterion=criterion.id,
        part=trial.asked.part,
        engine=trial.asked.engine,
        engine_version="" if trial.asked.engine == SUITE else trial.sound_engine.identity().version,
        model=trial.asked.model,
        profile=trial.profile,
        outcome=outcome,
        reason=reason,
        words=words[-_MOST_WORDS:],
        measures=tuple(trial.measures),
        findings=tuple(trial.findings),
        commands=tuple(trial.commands),
        artefacts=trial.artefacts,
        seconds=round(trial.seconds, 3),
        cached=trial.all_cached,
        saboteur=None if trial.saboteur is None else trial.saboteur.words,
    )


def _outcome(trial: Trial, criterion: Criterion, test: Callable[[], object]) -> tuple[CriterionOutcome, str, str]:
    stands_in = trial.saboteur is not None and trial.saboteur.stands_in
    if criterion.scope(trial.profile) == "no" and not stands_in:
        return CriterionOutcome.NOT_RUN, criterion.note or f"not decided in the profile {trial.profile}", ""
    try:
        test()
    except (NotHere, SourceUnavailableError) as missing:
        return CriterionOutcome.NOT_RUN, str(missing), ""
    except Refuted as error:
        return CriterionOutcome.FAIL, str(error), ""
    except AssertionError as error:
        if not _asserted_by(test, error):
            raise
        return CriterionOutcome.FAIL, str(error), ""
    except (EngineError, StageFailedError) as error:
        refused = refusal_behind(error)
        if refused is not None:
            _keep_command(trial, refused)
            return CriterionOutcome.BLOCKED, str(error), _words(refused)
        if isinstance(error, EngineError):
            _keep_command(trial, error)
            return CriterionOutcome.FAIL, str(error), _words(error)
        return CriterionOutcome.FAIL, str(error), ""
    if not any(one.bound for one in trial.measures):
        raise HarnessError(f"{trial.asked.part}: came to its end and held no figure against a bound")
    return CriterionOutcome.PASS, "", ""


def _asserted_by(test: Callable[..., object], error: AssertionError) -> bool:
    """Whether an assertion stands in the test itself; in our own code it is our own trouble."""
    code = getattr(getattr(test, "func", test), "__code__", None)
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and code is not None and last.tb_frame.f_code.co_filename == code.co_filename


def _against(refusal: Refusal, outcome: CriterionOutcome, reason: str, words: str) -> tuple[CriterionOutcome, str]:
    """A refusal that is known must be met, in the words that are known: like a strict xfail."""
    if outcome in (CriterionOutcome.NOT_RUN, CriterionOutcome.ERROR):
        return outcome, reason
    if outcome is not CriterionOutcome.BLOCKED:
        what = f"{outcome.value}: {reason}" if reason else outcome.value
        return CriterionOutcome.FAIL, f"no longer blocked by {refusal.words!r} ({what}): the known refusal must go"
    if not re.search(refusal.words, words):
        return CriterionOutcome.FAIL, f"known to be blocked by {refusal.words!r}, but the engine says: {reason}"
    return outcome, reason


def _words(error: EngineError) -> str:
    return f"{error.message}\n{error.stderr.strip()}".strip()


def _keep_command(trial: Trial, error: EngineError) -> None:
    line = " ".join(error.command)
    if line and line not in trial.commands:
        trial.commands.append(line)
