"""What an item found, carried on its pytest report from whichever worker ran it to the controller."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["attach_payload", "leave_payload", "payload_left", "payload_of", "status_of"]

_PAYLOAD = "apr_payload"
_KEY = pytest.StashKey[dict[str, Any]]()


def leave_payload(item: pytest.Item, payload: dict[str, Any]) -> None:
    """Leave something (JSON-able) for the item's report."""
    item.stash[_KEY] = payload


def payload_left(item: pytest.Item) -> dict[str, Any] | None:
    """What an item left so far, in the process that ran it."""
    return item.stash.get(_KEY, None)


def attach_payload(item: pytest.Item, report: pytest.TestReport) -> None:
    """Put what an item left on the one report that tells its outcome."""
    payload = item.stash.get(_KEY, None)
    if payload is not None and (report.when == "call" or (report.when == "setup" and not report.passed)):
        setattr(report, _PAYLOAD, payload)


def payload_of(report: pytest.TestReport) -> dict[str, Any] | None:
    """What `attach_payload` put there."""
    payload: dict[str, Any] | None = getattr(report, _PAYLOAD, None)
    return payload


def status_of(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Category, letter and word for outcomes that pytest does not know; None leaves it to pytest.

    `missing` is a problem that a file of completions has no answer to: nobody knows whether it would be solved.
    """
    payload = payload_of(report)
    if payload is None:
        return None
    if report.skipped and payload.get("lost"):
        return "not reached", "n", "NOT REACHED"
    if report.skipped and payload.get("obligation", {}).get("level") == "open":
        return "open", "o", "OPEN"
    if report.skipped and "criterion" in payload:
        outcome = payload["criterion"]["outcome"]
        return (outcome, outcome[0], outcome.upper())
    result = payload.get("problem", {}).get("result")
    if report.passed and result is not None and not result["c"]:
        return ("unsolved", "u", "UNSOLVED") if result["n"] else ("missing", "m", "MISSING")
    return None
