"""An acceptance criterion's story: its claim is a behaviour, under the part of the mission it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from apr_leaderboard.report.allure.story import Category, Status, Story

__all__ = ["criterion_story"]

_OUTCOMES = {
    "pass": (Status.PASSED, None),
    "fail": (Status.FAILED, Category.CANDIDATE),
    "blocked": (Status.SKIPPED, Category.BLOCKED),
    "not-run": (Status.SKIPPED, Category.NOT_RUN),
}
_BY_STATUS = {
    "passed": (Status.PASSED, None),
    "failed": (Status.FAILED, Category.CANDIDATE),
    "skipped": (Status.SKIPPED, Category.NOT_RUN),
}


def criterion_story(item: pytest.Item, payload: Mapping[str, Any], status: str) -> Story | None:
    """The story of an item marked `criterion(ID)`; None for any other.

    What the item left under `criterion` (outcome, measured, bound, claim, part, engine, model, words) is told where it
    is there; `status` is what allure-pytest made of the item.
    """
    mark = item.get_closest_marker("criterion")
    if mark is None or not mark.args:
        return None
    found: Mapping[str, Any] = payload.get("criterion", {})
    name = str(mark.args[0])
    outcome, category = _OUTCOMES.get(str(found.get("outcome", "")), _BY_STATUS.get(status, (Status.BROKEN, None)))
    if outcome is Status.BROKEN:
        category = Category.HARNESS
    claim = _word(found, "claim") or _first_line(item)
    figure = " ".join(filter(None, (_word(found, "measured"), _bound(found))))
    return Story(
        name=": ".join(filter(None, (name, claim, figure))),
        full_name=f"criteria::{name}::{item.name.partition('[')[0]}",
        status=outcome,
        place=("criteria", name),
        behaviour=(_word(found, "part") or str(mark.kwargs.get("part", "Acceptance")), f"{name} {claim}".strip()),
        identity={key: _word(found, key) for key in ("engine", "model", "profile") if _word(found, key)},
        facts={key: _word(found, key) for key in ("measured", "bound", "interval") if _word(found, key)},
        category=category,
        words=_word(found, "words") or _word(found, "reason") or f"{name} {outcome.value}",
    )


def _word(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _bound(found: Mapping[str, Any]) -> str:
    bound = _word(found, "bound")
    return f"(bound: {bound})" if bound else ""


def _first_line(item: pytest.Item) -> str:
    text = getattr(getattr(item, "function", None), "__doc__", None) or ""
    return str(text).strip().partition("\n")[0].rstrip(".")
