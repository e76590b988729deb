"""What one item came to, in the words that Allure has for it: a pure function of what the item left."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apr_leaderboard.model.results import (
    EvaluationInfo,
    ObligationOutcome,
    ObligationResult,
    ProblemResult,
    StageOutcome,
    StageResult,
)

__all__ = ["Category", "Status", "Story", "headline_of", "ids_of", "stage_category", "stage_status", "story_of"]


class Status(StrEnum):
    """Allure's own. `failed`: what is under test fell short; `broken`: our side did."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    SKIPPED = "skipped"


class Category(StrEnum):
    """Whose trouble it is. A message begins with it, which is how categories.json tells them apart."""

    CANDIDATE = "candidate"
    ENGINE = "engine"
    HARNESS = "harness"
    BLOCKED = "blocked"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Story:
    """One result. `place` is parent suite, suite, sub-suite; `behaviour` epic, feature, story.

    `identity` and `full_name` are what a result has in common with the same one of another run; `facts` may differ.
    """

    name: str
    full_name: str
    status: Status
    place: tuple[str, ...]
    behaviour: tuple[str, ...]
    identity: dict[str, str] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    category: Category | None = None
    words: str = ""
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def message(self) -> str:
        """What went wrong, with the category before it; nothing for what passed."""
        return f"{self.category}: {self.words}" if self.category else ""


_STATUS = {
    StageOutcome.PASSED: Status.PASSED,
    StageOutcome.FAILED: Status.FAILED,
    StageOutcome.ERROR: Status.BROKEN,
    StageOutcome.NOT_REACHED: Status.SKIPPED,
}
_HEADLINES = {
    "import": ("n_parameters", "n_tensors"),
    "prep-data": ("n_before", "n_after"),
    "distill": ("first_loss", "last_loss"),
    "finetune": ("first_loss", "last_loss"),
    "align": ("first_margin", "last_margin"),
    "merge": ("density_kept", "n_tensors"),
    "prune": ("sparsity",),
    "quantize": ("bits_per_weight", "size_bytes"),
    "compile": ("size_bytes", "runs_alone"),
    "export": ("size_bytes",),
    "eval": ("pass_at_1",),
    "submit": ("n_checks", "n_checks_failed"),
}


def story_of(payload: Mapping[str, Any], headline: str = "") -> Story | None:
    """The story of what `leave_payload` was given; None where the item left nothing that has one.

    `headline` is the measured figure where the payload itself holds none.
    """
    if "stage" in payload:
        return _stage(StageResult.model_validate(payload["stage"]), headline)
    if "problem" in payload:
        return _problem(payload["problem"])
    if "obligation" in payload:
        return _obligation(ObligationResult.model_validate(payload["obligation"]))
    return None


def stage_status(outcome: StageOutcome) -> Status:
    """A stage's outcome as a status."""
    return _STATUS[outcome]


def ids_of(full_name: str, identity: Mapping[str, str]) -> tuple[str, str]:
    """The id of a test, and that of its history: the same in every run that asks the same of the same subject."""
    parts = [full_name, *(f"{key}={value}" for key, value in sorted(identity.items()))]
    test, history = (hashlib.sha256("\0".join(words).encode()).hexdigest()[:32] for words in (parts[:1], parts))
    return test, history


def headline_of(stage: StageResult) -> str:
    """A stage's figures in a few words; where none of them is known to tell most, nothing."""
    figures = [(name, stage.figures[name]) for name in _HEADLINES.get(stage.stage, ()) if name in stage.figures]
    return ", ".join(f"{name} {_number(value)}" for name, value in figures)


def _stage(stage: StageResult, headline: str) -> Story:
    return Story(
        name=_titled(stage.stage, headline or headline_of(stage)),
        full_name=f"{stage.recipe}::{stage.stage}",
        status=_STATUS[stage.outcome],
        place=("recipes", stage.recipe, f"by {stage.engine}"),
        behaviour=("Recipes", stage.recipe, stage.stage),
        identity={"engine": stage.engine, "profile": stage.profile},
        facts={
            "digest": (stage.digest or "")[:16],
            "from the store": "yes" if stage.cached else "no",
            **{name: _number(value) for name, value in stage.figures.items()},
        },
        category=stage_category(stage),
        words=stage.reason or stage.outcome.value,
        description="\n\n".join([f"    {stage.command}", *(f"finding: {one.message}" for one in stage.findings)]),
    )


def stage_category(stage: StageResult) -> Category | None:
    """Whose trouble a stage had; None where it passed."""
    match stage.outcome:
        case StageOutcome.PASSED:
            return None
        case StageOutcome.NOT_REACHED:
            return Category.NOT_RUN
        case StageOutcome.ERROR:
            return Category.HARNESS
        case StageOutcome.FAILED:
            # An eval that was done has a digest: it failed by missing a threshold, which is no fault of the engine's.
            return Category.CANDIDATE if stage.digest else Category.ENGINE


def _problem(body: Mapping[str, Any]) -> Story:
    info = EvaluationInfo.model_validate(body["info"])
    result = ProblemResult.model_validate(body["result"]) if "result" in body else None
    status, category, words, how = _verdict(result, str(body.get("lost", "")), body.get("invalid"))
    after = f" after {info.after}" if info.after else ""
    where = f"{info.recipe}: {info.model}" if info.recipe else info.model
    kept = {"recipe": info.recipe or "", "after": info.after or ""}
    facts = {"samples": str(result.n), "solved": str(result.c), "verdicts": _counted(result)} if result else {}
    answered = "model" if info.completions is None else "completions"
    digests = {
        f"{name} digest": digest[:16]
        for what, name in (("model", answered), ("dataset", "dataset"))
        for digest in dict(body.get(what, {})).values()
    }
    if info.completions is not None and info.completions.stated:
        facts["stated"] = ", ".join(info.completions.stated)
    return Story(
        name=f"{body['task_id']}: {how}",
        full_name=f"{info.name}::{body['task_id']}",
        status=status,
        place=("benchmarks", info.name, f"{where}{after} by {info.engine}"),
        behaviour=("Benchmarks", info.name, info.model),
        identity={
            "engine": info.engine,
            "model": info.model,
            "profile": info.profile,
            **{key: value for key, value in kept.items() if value},
        },
        facts={**facts, **digests, "sandbox": str(body.get("sandbox") or "")},
        category=category,
        words=words,
    )


def _verdict(result: ProblemResult | None, lost: str, invalid: str | None) -> tuple[Status, Category | None, str, str]:
    """Status, category, words for the message, words for the title."""
    if result is None:
        broken = lost.startswith("infra")
        category = Category.HARNESS if broken else Category.NOT_RUN
        return Status.BROKEN if broken else Status.SKIPPED, category, lost, "no verdict" if broken else "not reached"
    if invalid:
        return Status.BROKEN, Category.HARNESS, f"self-check: {invalid}", "invalid here"
    if not result.n:
        return Status.SKIPPED, Category.NOT_RUN, "the file has no completion for it", "no completion"
    if not result.c:
        return Status.FAILED, Category.CANDIDATE, f"unsolved, {_counted(result)}", f"unsolved ({_counted(result)})"
    return Status.PASSED, None, "", "solved" if result.n == 1 else f"solved by {result.c} of {result.n}"


def _counted(result: ProblemResult) -> str:
    verdicts = result.verdicts or (result.verdict,)
    counts = Counter(verdicts)
    return ", ".join(f"{n} x {word}" if len(verdicts) > 1 else word for word, n in sorted(counts.items()))


def _obligation(found: ObligationResult) -> Story:
    status, category = {
        ObligationOutcome.OPEN: (Status.SKIPPED, Category.BLOCKED),
        ObligationOutcome.HOLDS: (Status.PASSED, None),
        ObligationOutcome.VIOLATED: (Status.FAILED, Category.CANDIDATE),
        ObligationOutcome.ERROR: (Status.BROKEN, Category.HARNESS),
    }[found.outcome]
    words = found.evidence or found.outcome.value
    if found.outcome is ObligationOutcome.HOLDS and found.saboteur != "red":
        # Held, but a broken engine would have passed as well: the check is what failed.
        crashed = found.saboteur == "crashed"
        status, category = Status.BROKEN if crashed else Status.FAILED, Category.HARNESS
        words = f"saboteur {found.saboteur}: {words}"
    return Story(
        name=_titled(found.id, f"{found.level.value}, {found.outcome.value}, saboteur {found.saboteur}"),
        full_name=f"{found.contract}::{found.id}",
        status=status,
        place=("contracts", found.contract, found.level.value),
        behaviour=("Contracts", found.contract, found.level.value),
        facts={"level": found.level.value, "saboteur": found.saboteur},
        category=category,
        words=words,
        description="" if category else found.evidence,
        labels={"level": found.level.value},
    )


def _titled(name: str, headline: str) -> str:
    return f"{name}: {headline}" if headline else name


def _number(value: float | int | str | bool) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
