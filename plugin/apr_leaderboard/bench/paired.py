"""Two runs on the same tasks: which tasks flipped, whether that could be chance, and what could not have been seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import comb, lcm

from apr_leaderboard.errors import RequestError

__all__ = ["Comparison", "RateComparison", "compare_counts", "compare_runs", "mcnemar_exact", "power"]

_ALPHA = 0.05
_DROP = 0.05
_RESAMPLES = 20_000
_TWO_SIDED, _FOUR_IN_FIVE = 1.959964, 0.841621
"""Normal quantiles at 0.975 and 0.8."""


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided exact p-value that losses and gains are equally likely (McNemar 1947; exact form, Fay 2010).

    Only tasks that flipped carry evidence. Raises `RequestError` for negative counts.
    """
    if lost < 0 or gained < 0:
        raise RequestError(f"McNemar of {lost} lost and {gained} gained; allowed: counts of 0 or more")
    flips = lost + gained
    tail = sum(comb(flips, i) for i in range(min(lost, gained) + 1))
    return float(min(1.0, 2 * tail / 2**flips))


def power(n: int, p_lost: float, p_gained: float, alpha: float = _ALPHA) -> float:
    """The chance that the exact test finds a difference, if each of n tasks is lost or gained with these chances.

    Exact: over the number of flips (binomial), then over the losses among them. Raises `RequestError` unless n >= 1,
    both chances are at least 0, and together at most 1.
    """
    if n < 1 or p_lost < 0 or p_gained < 0 or p_lost + p_gained > 1 + 1e-12:
        raise RequestError(
            f"power with {n} tasks, chances {p_lost} and {p_gained}; allowed: at least one task, chances within 0..1"
        )
    flip = min(1.0, p_lost + p_gained)
    if flip < 1e-9:  # six flips or more decide anything, and these chances make none
        return 0.0
    # scipy takes a second to import, which every pytest start would pay.
    import numpy as np
    from scipy import stats

    flips = np.arange(n + 1)
    weights = stats.binom.pmf(flips, n, flip)
    # The largest count on the smaller side at which the test rejects; -1: never.
    critical = np.asarray(stats.binom.ppf(alpha / 2, flips, 0.5)).astype(int)
    critical = np.where(2 * stats.binom.cdf(critical, flips, 0.5) <= alpha, critical, critical - 1)
    share = p_lost / flip
    reject = stats.binom.cdf(critical, flips, share) + stats.binom.cdf(critical, flips, 1 - share)
    return float(np.sum(weights * np.where(critical >= 0, np.minimum(reject, 1.0), 0.0)))


@dataclass(frozen=True)
class Comparison:
    """Run B against run A on `n` tasks both answered. Rates are fractions of n."""

    n: int
    solved_a: int
    solved_b: int
    lost: tuple[str, ...]
    gained: tuple[str, ...]
    p_value: float
    power_of_drop: float
    """The chance that a true drop of five points had been found, tasks flipping as often as they do here."""
    detectable_drop: float | None
    """The smallest true drop that would be found four times in five; None: not even all of it."""

    @property
    def difference(self) -> float:
        """How much larger B's rate is."""
        return (self.solved_b - self.solved_a) / self.n

    @property
    def significant(self) -> bool:
        """Whether chance alone would flip tasks so one-sidedly less than one time in twenty."""
        return self.p_value < _ALPHA

    def statement(self) -> str:
        """One paragraph for a report: the numbers, the flipped tasks, and what this comparison could not have seen."""
        seen = "cannot be told from chance" if not self.significant else "is more than chance"
        find = f"found {100 * self.power_of_drop:.0f} % of the time"
        smallest = "no drop" if self.detectable_drop is None else f"{100 * self.detectable_drop:.1f} points"
        return (
            f"{self.solved_a}/{self.n} -> {self.solved_b}/{self.n} ({100 * self.difference:+.1f} points): "
            f"lost {len(self.lost)} ({_some(self.lost)}), gained {len(self.gained)} ({_some(self.gained)}); "
            f"McNemar exact p = {self.p_value:.3g}, which {seen}. "
            f"A true drop of {100 * _DROP:.0f} points would be {find}; the smallest found 80 % of the time: {smallest}."
        )


def compare_runs(a: Mapping[str, bool], b: Mapping[str, bool]) -> Comparison:
    """Compare two runs, task id to solved or not.

    One answer a task in both: what any of several samples solves depends on how many there were (`compare_counts`).
    Raises `RequestError` where they are not over the same tasks (naming some), or there is none: an unpaired
    difference is not what this test is about.
    """
    _need_the_same_tasks(a, b)
    lost = tuple(task for task in a if a[task] and not b[task])
    gained = tuple(task for task in a if b[task] and not a[task])
    flips = (len(lost) + len(gained)) / len(a)
    return Comparison(
        n=len(a),
        solved_a=sum(a.values()),
        solved_b=sum(b.values()),
        lost=lost,
        gained=gained,
        p_value=mcnemar_exact(len(lost), len(gained)),
        power_of_drop=_power_of(len(a), flips, _DROP),
        detectable_drop=_detectable(len(a), flips),
    )


@dataclass(frozen=True)
class RateComparison:
    """Run B against run A where tasks were answered several times: pass@1 of each task, paired. Rates are fractions.

    `samples` is the number of samples a task in A and in B, which need not be equal: each rate is unbiased. What was
    solved at least once is not compared, as that grows with the number of samples.
    """

    n: int
    samples: tuple[int, int]
    rate_a: float
    rate_b: float
    lost: tuple[str, ...]
    """Tasks whose rate is lower in B."""
    gained: tuple[str, ...]
    error: float
    """Standard error of the difference, from the spread of the paired differences (Miller 2024, arXiv 2411.00640)."""
    p_value: float
    """Signs of the differences flipped at random (Fisher 1935): exact for few tasks, else 20,000 draws of one seed."""

    @property
    def difference(self) -> float:
        """How much larger B's rate is."""
        return self.rate_b - self.rate_a

    @property
    def significant(self) -> bool:
        """Whether chance alone would bring so large a difference less than one time in twenty."""
        return self.p_value < _ALPHA

    @property
    def detectable_drop(self) -> float:
        """The smallest true difference that would be found four times in five, tasks differing as much as here."""
        return (_TWO_SIDED + _FOUR_IN_FIVE) * self.error

    def statement(self) -> str:
        """One paragraph for a report."""
        seen = "is more than chance" if self.significant else "cannot be told from chance"
        low, high = (100 * (self.difference + side * _TWO_SIDED * self.error) for side in (-1, 1))
        return (
            f"pass@1 {100 * self.rate_a:.1f} % -> {100 * self.rate_b:.1f} % ({100 * self.difference:+.1f} points, "
            f"95 % {low:+.1f} to {high:+.1f}) over {self.n} tasks, "
            f"{self.samples[0]} and {self.samples[1]} samples each: "
            f"lower on {len(self.lost)} ({_some(self.lost)}), higher on {len(self.gained)} ({_some(self.gained)}); "
            f"paired sign-flip p = {self.p_value:.3g}, which {seen}. "
            f"The smallest difference found 80 % of the time: {100 * self.detectable_drop:.1f} points."
        )


def compare_counts(a: Mapping[str, tuple[int, int]], b: Mapping[str, tuple[int, int]]) -> Comparison | RateComparison:
    """Compare two runs, task id to (samples, passed): McNemar for one sample a task, else rates.

    Raises `RequestError` as `compare_runs` does, and for a task without a sample.
    """
    samples = tuple(max((n for n, _ in one.values()), default=1) for one in (a, b))
    if any(n < 1 for one in (a, b) for n, _ in one.values()):
        raise RequestError("a task without samples; allowed: at least one sample of every task")
    if samples == (1, 1):
        return compare_runs(*({task: c > 0 for task, (_, c) in one.items()} for one in (a, b)))
    _need_the_same_tasks(a, b)
    import numpy as np
    from scipy import stats

    # Whole numbers of the smallest share that all counts are multiples of: sums of thirds would not compare exactly.
    unit = lcm(*(n for one in (a, b) for n, _ in one.values()))
    shares = np.array([[one[task][1] * (unit // one[task][0]) for one in (a, b)] for task in a])
    differences = shares[:, 1] - shares[:, 0]
    p_value = 1.0
    if differences.any() and len(differences) > 1:  # of one task, either sign is as far
        test = stats.permutation_test(
            (shares[:, 1], shares[:, 0]),
            lambda x, y, axis: np.sum(x - y, axis=axis),
            permutation_type="samples",
            n_resamples=_RESAMPLES,
            vectorized=True,
            rng=np.random.default_rng(0),
        )
        p_value = float(test.pvalue)
    spread = float(np.std(differences / unit, ddof=1)) if len(differences) > 1 else 0.0
    return RateComparison(
        n=len(a),
        samples=(samples[0], samples[1]),
        rate_a=float(shares[:, 0].mean() / unit),
        rate_b=float(shares[:, 1].mean() / unit),
        lost=tuple(task for task, gap in zip(a, differences, strict=True) if gap < 0),
        gained=tuple(task for task, gap in zip(a, differences, strict=True) if gap > 0),
        error=spread / len(a) ** 0.5,
        p_value=p_value,
    )


def _need_the_same_tasks(a: Collection[str], b: Collection[str]) -> None:
    if set(a) != set(b):
        only_a, only_b = sorted(set(a) - set(b)), sorted(set(b) - set(a))
        raise RequestError(
            f"the runs are not over the same tasks: only in the first: {_some(only_a)}; "
            f"only in the second: {_some(only_b)}; allowed: the same tasks in both"
        )
    if not a:
        raise RequestError("nothing to compare; allowed: at least one task in both runs")


def _power_of(n: int, flips: float, drop: float) -> float:
    """Power for a true drop when a share `flips` of the tasks flips, or `drop` where that is more."""
    gained = max(0.0, (flips - drop) / 2)
    return power(n, min(gained + drop, 1.0), min(gained, 1.0 - min(gained + drop, 1.0)))


def _detectable(n: int, flips: float) -> float | None:
    """By bisection over whole tasks: power grows with the drop."""
    low, high = 1, n
    if _power_of(n, flips, 1.0) < 0.8:
        return None
    while low < high:
        middle = (low + high) // 2
        if _power_of(n, flips, middle / n) >= 0.8:
            high = middle
        else:
            low = middle + 1
    return low / n


def _some(tasks: tuple[str, ...] | list[str], most: int = 8) -> str:
    shown = ", ".join(tasks[:most]) or "none"
    return f"{shown} and {len(tasks) - most} more" if len(tasks) > most else shown
