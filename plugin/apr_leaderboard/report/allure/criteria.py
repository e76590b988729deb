"""An acceptance criterion's story: its claim is a behaviour, under the part of the mission it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from apr_leaderboard.model.results import CriterionOutcome, CriterionResult, Measure
from apr_leaderboard.report.allure.story import Category, Status, Story

__all__ = ["criterion_story"]

_OUTCOMES = {
    CriterionOutcome.PASS: (Status.PASSED, None),
    CriterionOutcome.FAIL: (Status.FAILED, Category.CANDIDATE),
    CriterionOutcome.BLOCKED: (Status.SKIPPED, Category.BLOCKED),
    CriterionOutcome.NOT_RUN: (Status.SKIPPED, Category.NOT_RUN),
    CriterionOutcome.ERROR: (Status.BROKEN, Category.HARNESS),
}
_BY_STATUS = {
    "passed": (Status.PASSED, None),
    "failed": (Status.FAILED, Category.CANDIDATE),
    "skipped": (Status.SKIPPED, Category.NOT_RUN),
}
_BROKEN = (Status.BROKEN, Category.HARNESS)


def criterion_story(
    item: pytest.Item, payload: Mapping[str, Any], status: str, known: Mapping[str, str]
) -> Story | None:
    """The story of an item marked `criterion(ID)`; None for any other.

    `payload` may hold its result under `criterion`; where it does not, `status`, allure-pytest's own, is told. `known`
    is what is stated of the criterion: claim and part.
    """
    mark = item.get_closest_marker("criterion")
    if mark is None or not mark.args:
        return None
    name, claim = str(mark.args[0]), known.get("claim") or _first_line(item)
    part = known.get("part") or str(mark.kwargs.get("part", "acceptance"))
    found = CriterionResult.model_validate(payload["criterion"]) if "criterion" in payload else None
    if found is None:
        outcome, category = _BY_STATUS.get(status, _BROKEN)
        identity, facts, words, test = {}, {}, f"{name} {outcome.value}", item.name.partition("[")[0]
    else:
        outcome, category = _OUTCOMES[found.outcome]
        identity = {"engine": found.engine, "model": found.model, "profile": found.profile}
        facts = {measure.name: _shown(measure) for measure in found.measures}
        facts |= {f"digest of {what}": digest[:16] for what, digest in found.artefacts.items()}
        words, test = "\n".join(filter(None, (found.reason, found.words))), found.part
    return Story(
        name=": ".join(filter(None, (name, claim, _decisive(found)))),
        full_name=f"criteria::{name}::{test}",
        status=outcome,
        place=("criteria", part, f"{name} {claim}"),
        behaviour=(part.capitalize(), f"{name} {claim}", test),
        identity=identity,
        facts=facts,
        category=category,
        words=words,
        description="\n\n".join(f"    {command}" for command in found.commands) if found else "",
    )


def _decisive(found: CriterionResult | None) -> str:
    """The figure that decided: the first that misses its bound, else the first that has one, else the first."""
    measures = found.measures if found is not None else ()
    ranked = sorted(measures, key=lambda one: 0 if one.holds is False else 1 if one.bound is not None else 2)
    return f"{ranked[0].name} {_shown(ranked[0])}" if ranked else ""


def _shown(measure: Measure) -> str:
    value = f"{measure.value:.4g}" if isinstance(measure.value, float) else str(measure.value)
    interval = measure.interval
    between = f" [{interval.low:.4g}, {interval.high:.4g}]" if interval is not None else ""
    bound = f" (must be {measure.bound})" if measure.bound else ""
    return f"{value}{' ' + measure.unit if measure.unit else ''}{between}{bound}"


def _first_line(item: pytest.Item) -> str:
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return str(text).strip().partition("\n")[0].rstrip(".")
