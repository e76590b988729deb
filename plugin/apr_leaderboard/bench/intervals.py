"""How far a score may be from the truth: Wilson for one sample a problem, bootstrap over problems for more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from apr_leaderboard.bench.passk import pass_at_k
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import Interval

__all__ = ["BOOTSTRAP_RESAMPLES", "bootstrap", "interval_for", "intervals_for", "wilson"]

BOOTSTRAP_RESAMPLES = 10_000


def wilson(passed: int, total: int, level: float = 0.95) -> Interval:
    """The score interval of a proportion (Wilson 1927; Brown, Cai & DasGupta 2001, section 3.1.1).

    Raises `RequestError` unless 0 <= passed <= total, total >= 1 and 0 < level < 1.
    """
    if total < 1 or not 0 <= passed <= total:
        raise RequestError(f"interval of {passed} of {total}; allowed: 0 <= passed <= total, total at least 1")
    z = NormalDist().inv_cdf(0.5 + _level(level) / 2)
    p = passed / total
    middle = (p + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    low = 0.0 if passed == 0 else max(0.0, middle - half)
    high = 1.0 if passed == total else min(1.0, middle + half)
    return Interval(low=low, high=high, level=level, method="wilson")


def bootstrap(counts: Sequence[tuple[int, int]], k: int, seed: int, level: float = 0.95) -> Interval:
    """Percentile bootstrap of the mean pass@k, resampling problems (Efron & Tibshirani 1993, chapter 13).

    `counts` holds one (n, c) per problem. The seed is part of `method`, so that the same interval can be had again.
    """
    return _bootstrapped(counts, [k], seed, level)[0]


def interval_for(counts: Sequence[tuple[int, int]], k: int, seed: int = 0, level: float = 0.95) -> Interval:
    """Wilson where every problem has one sample and k is 1, else bootstrap over problems.

    Wilson, too, where every problem has the same estimate (all solved, say, or none), over that share of the problems:
    resampling what is all alike gives an interval of no width, which no number of problems bears out.
    """
    return intervals_for(counts, [k], seed, level)[0]


def intervals_for(
    counts: Sequence[tuple[int, int]], ks: Sequence[int], seed: int = 0, level: float = 0.95
) -> list[Interval]:
    """`interval_for` of every k, with the problems drawn once for all."""
    found = {k: _without_draws(counts, k, level) for k in ks}
    left = [k for k in found if found[k] is None]
    drawn = dict(zip(left, _bootstrapped(counts, left, seed, level), strict=True)) if left else {}
    return [found[k] or drawn[k] for k in ks]


def _without_draws(counts: Sequence[tuple[int, int]], k: int, level: float) -> Interval | None:
    """The interval where there is a formula for it."""
    if k == 1 and counts and all(n == 1 for n, _ in counts):
        return wilson(sum(c for _, c in counts), len(counts), level)
    estimates = {pass_at_k(n, c, k) for n, c in counts}
    if len(estimates) == 1:
        return wilson(round(estimates.pop() * len(counts)), len(counts), level)
    return None


def _bootstrapped(counts: Sequence[tuple[int, int]], ks: Sequence[int], seed: int, level: float) -> list[Interval]:
    if not counts:
        raise RequestError("interval of no problem; allowed: at least one problem with a verdict")
    import numpy as np  # here, so that a start of pytest that needs no bootstrap does not pay for it

    values = [np.array([pass_at_k(n, c, k) for n, c in counts]) for k in ks]
    generator = np.random.default_rng(seed)
    means = np.empty((len(ks), BOOTSTRAP_RESAMPLES))
    block = max(1, min(BOOTSTRAP_RESAMPLES, 2_000_000 // len(counts)))
    for start in range(0, BOOTSTRAP_RESAMPLES, block):
        size = min(block, BOOTSTRAP_RESAMPLES - start)
        drawn = generator.integers(0, len(counts), (size, len(counts)))
        for place, estimates in enumerate(values):
            means[place, start : start + size] = np.take(estimates, drawn).mean(axis=1)
    tail = (1 - _level(level)) / 2
    method = f"bootstrap over problems, {BOOTSTRAP_RESAMPLES} resamples, seed {seed}"
    ends = [np.quantile(row, [tail, 1 - tail]) for row in means]
    return [Interval(low=float(low), high=float(high), level=level, method=method) for low, high in ends]


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise RequestError(f"confidence level {level}; allowed: between 0 and 1")
    return level
