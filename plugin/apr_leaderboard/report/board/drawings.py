"""The page's two small drawings: where a rate lies and how sure it is, and how it went over the runs."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from apr_leaderboard.model.results import Interval

__all__ = ["interval_bar", "sparkline"]

_WIDTH, _HEIGHT = 150, 10


def interval_bar(rate: float, interval: Interval, published: float | None) -> str:
    """An SVG bar from 0 to 100 %: the interval as a band, the rate as a mark, what was published as a tick.

    All are fractions.
    """
    words = f"{rate:.1%}, {interval.level:.0%} interval {interval.low:.1%} to {interval.high:.1%}"
    parts = [
        f'<rect class="track" width="{_WIDTH}" height="{_HEIGHT}" rx="2"/>',
        f'<rect class="band" x="{_x(interval.low)}" width="{_x(interval.high - interval.low)}" height="{_HEIGHT}"/>',
        f'<rect class="mark" x="{_x(rate, -1)}" width="2.5" height="{_HEIGHT}"/>',
    ]
    if published is not None:
        words += f"; published {published:.1%}"
        middle = float(_x(published))
        parts.append(f'<path class="tick" d="M{middle:g} 1 l4 -6 h-8 z"/>')
    return _svg(_WIDTH, _HEIGHT, words, parts)


def sparkline(history: Sequence[tuple[str, float]]) -> str:
    """An SVG line over the runs (time as ISO 8601, rate as a fraction), scaled to what it spans; empty below two."""
    if len(history) < 2:
        return ""
    rates = [rate for _, rate in history]
    low, span = min(rates), (max(rates) - min(rates)) or 1.0
    step = (_WIDTH - 4) / (len(rates) - 1)
    points = [(2 + step * place, 20 - 16 * ((rate - low) / span)) for place, rate in enumerate(rates)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    words = f"{len(rates)} runs: " + ", ".join(f"{when[:10]} {rate:.1%}" for when, rate in history[-8:])
    x, y = points[-1]
    return _svg(
        _WIDTH, 24, words, [f'<polyline points="{line}"/>', f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>']
    )


def _x(fraction: float, shift: float = 0.0) -> str:
    return f"{fraction * _WIDTH + shift:.1f}"


def _svg(width: int, height: int, words: str, parts: Sequence[str]) -> str:
    title = escape(words)
    head = f'<svg role="img" aria-label="{title}" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return f"{head}<title>{title}</title>{''.join(parts)}</svg>"
