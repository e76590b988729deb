"""Sizes and ages as people write and read them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import Interval

__all__ = ["aligned", "format_age", "format_rate", "format_size", "parse_size", "some"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)(i?)B?", re.IGNORECASE)
_STEPS = ("", "k", "M", "G", "T")


def parse_size(text: str) -> int:
    """Bytes: '500M' and '500 MB' are decimal, '1.5GiB' and '1.5Gi' binary, '0' is 0. Raises `RequestError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise RequestError(f"size {text!r}; allowed: a number with k, M, G or T (or Ki, Mi, Gi, Ti), such as 20G")
    step = [step.lower() for step in _STEPS].index(match[2].lower())
    return int(float(match[1]) * (1024 if match[3] else 1000) ** step)


def format_size(size: float) -> str:
    """Decimal units, three digits at least: 999 B, 1.2 MB."""
    for step in _STEPS:
        if size < 1000 or step == _STEPS[-1]:
            return f"{size:.0f} B" if step == "" else f"{size:.1f} {step}B"
        size /= 1000
    raise AssertionError("unreachable")


def format_age(seconds: float) -> str:
    """The largest unit that gives at least one: 45 s, 3 min, 5 h, 12 d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def format_rate(rate: float | None, interval: Interval | None) -> str:
    """A fraction as percent with its interval: 58.5% [50.9, 65.8]; what was not measured says so."""
    if rate is None:
        return "not measured"
    return f"{rate:.1%}" + ("" if interval is None else f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, nothing after the last."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def some(names: Sequence[str], most: int = 8) -> str:
    """The first few, and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
