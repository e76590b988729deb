"""What must hold before a model is given away. A check that could not be made is said to be that, never passed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apr_leaderboard.bench import contamination_of
from apr_leaderboard.errors import AprLeaderboardError
from apr_leaderboard.model.results import CriterionOutcome
from apr_leaderboard.report.submission.facts import UNKNOWN_LICENCE, Submission

__all__ = ["Check", "check_submission"]

_PARITY = "AC-014"
_NAMED = 5


@dataclass(frozen=True)
class Check:
    """`holds` None: it could not be made, and `words` say why."""

    name: str
    holds: bool | None
    words: str

    @property
    def outcome(self) -> str:
        """In a word."""
        return {True: "holds", False: "FAILS", None: "not measured"}[self.holds]


def check_submission(
    submission: Submission,
    model: Path,
    digest: str,
    corpus: Iterable[str] | None,
    problems: Mapping[str, Mapping[str, str]],
) -> tuple[Check, ...]:
    """Every check, in order.

    `model` is the exported folder, `digest` that of the checkpoint in the store, `corpus` the texts it was trained on
    (None: it was not trained), `problems` each benchmark's texts by task id.
    """
    return (
        _digest(submission, digest),
        _weights(model),
        _scores(submission),
        _parity(submission),
        _gate(submission),
        _contamination(corpus, problems),
        _licences(submission),
    )


def _digest(submission: Submission, digest: str) -> Check:
    told = submission.stages[-1].digest
    same = told == digest
    words = f"{digest[:16]}, as the run reports" if same else f"{digest[:16]}, and the run reports {str(told)[:16]}"
    return Check("digest", same, words)


def _weights(model: Path) -> Check:
    """The SafeTensors file can be read whole, and holds numbers only."""
    from apr_leaderboard.engine.reference.tensors import HfFolder  # an extra's, and only a submission needs it

    try:
        folder = HfFolder(model)
        bad = [name for name in folder.specs if not np.isfinite(folder.read(name)).all()]
    except (AprLeaderboardError, OSError, ValueError) as error:
        return Check("weights", False, str(error))
    if bad:
        return Check("weights", False, f"not finite: {', '.join(bad[:_NAMED])}")
    return Check("weights", True, f"{len(folder.specs)} tensors, all finite")


def _scores(submission: Submission) -> Check:
    if not submission.run.valid:
        return Check("scores", False, "a self-check failed in the run, so none of its scores counts")
    if not submission.scores:
        return Check("scores", None, "the run evaluated nothing of this model")
    partial = [one.name for one in submission.scores if not one.complete]
    if partial:
        return Check("scores", False, f"incomplete: {', '.join(partial)}")
    return Check("scores", True, f"{', '.join(one.name for one in submission.scores)}, every problem judged")


def _parity(submission: Submission) -> Check:
    found = [one for one in submission.criteria if one.criterion == _PARITY]
    if not found:
        return Check("parity", None, f"the run holds no {_PARITY}; pytest -m ac_014 decides it")
    bad = [one for one in found if one.outcome is CriterionOutcome.FAIL]
    decided = [one for one in found if one.outcome is CriterionOutcome.PASS]
    if bad:
        return Check("parity", False, f"{bad[0].part}: {bad[0].reason}")
    return Check("parity", True if decided else None, f"{len(decided)} of {len(found)} tests of {_PARITY} pass")


def _gate(submission: Submission) -> Check:
    found = submission.criteria
    if not found:
        return Check("criteria", None, "the run holds none; pytest -m acceptance decides them")
    bad = [one for one in found if one.outcome in (CriterionOutcome.FAIL, CriterionOutcome.ERROR)]
    if bad:
        named = ", ".join(dict.fromkeys(one.criterion for one in bad))
        return Check("criteria", False, f"{len(bad)} of {len(found)} tests fail: {named}")
    passed = sum(one.outcome is CriterionOutcome.PASS for one in found)
    return Check("criteria", True, f"{passed} of {len(found)} tests pass, none fails")


def _contamination(corpus: Iterable[str] | None, problems: Mapping[str, Mapping[str, str]]) -> Check:
    if corpus is None:
        return Check("contamination", True, "nothing was trained on")
    if not problems:
        return Check("contamination", None, "no benchmark was asked")
    texts = {f"{name}/{task}": text for name, tasks in problems.items() for task, text in tasks.items()}
    found = contamination_of(texts, corpus)
    if found.flagged:
        named = ", ".join(found.flagged[:_NAMED])
        return Check("contamination", False, f"{len(found.flagged)} problems stand in the training data: {named}")
    if not found.measured:
        return Check("contamination", None, f"no problem is as long as {found.n} words")
    return Check(
        "contamination", True, f"none of {found.measured} problems ({found.n}-grams, half of them or more in common)"
    )


def _licences(submission: Submission) -> Check:
    unknown = [one.name for one in submission.inputs if one.licence == UNKNOWN_LICENCE]
    if unknown:
        return Check("licences", None, f"not known of: {', '.join(unknown)}")
    return Check("licences", True, ", ".join(dict.fromkeys(_named(submission))))


def _named(submission: Submission) -> Iterator[str]:
    for one in submission.inputs:
        yield f"{one.name} {one.licence}"
