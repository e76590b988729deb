"""How an evaluation stands while it is still being judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, stdev

from apr_leaderboard.bench import pass_at_k, wilson
from apr_leaderboard.model.results import EvaluationInfo

__all__ = ["SoFar", "so_far"]

_LEVEL = 0.95


@dataclass(frozen=True)
class SoFar:
    """pass@1 over the problems judged by now, and a 95 % interval for it; fractions."""

    evaluation: str
    title: str
    judged: int
    problems: int
    solved: int
    pass_at_1: float
    low: float
    high: float

    def line(self) -> str:
        """For people."""
        rate = f"pass@1 so far {self.pass_at_1:.1%} [{self.low:.1%}, {self.high:.1%}]"
        return f"{self.title}: judged {self.judged}/{self.problems} problems, {rate}"


def so_far(info: EvaluationInfo, counts: Sequence[tuple[int, int]]) -> SoFar | None:
    """From (n, c) of the problems judged by now; None while there is none.

    Wilson for one sample a problem. For more, the mean's normal interval over problems: it is shown for a moment, and
    the final one, which is a bootstrap, would take longer to draw than to look at.
    """
    counts = [(n, c) for n, c in counts if n]
    if not counts:
        return None
    rates = [pass_at_k(n, c, 1) for n, c in counts]
    mean = math.fsum(rates) / len(rates)
    if all(n == 1 for n, _ in counts) or len(counts) < 2:
        interval = wilson(sum(c > 0 for _, c in counts), len(counts), _LEVEL)
        low, high = interval.low, interval.high
    else:
        half = NormalDist().inv_cdf(0.5 + _LEVEL / 2) * stdev(rates) / math.sqrt(len(rates))
        low, high = max(0.0, mean - half), min(1.0, mean + half)
    subject = f"{info.model} after {info.after}" if info.after else info.model
    return SoFar(
        evaluation=info.id,
        title=f"{info.name} on {subject} by {info.engine}",
        judged=len(counts),
        problems=info.n_problems,
        solved=sum(c > 0 for _, c in counts),
        pass_at_1=mean,
        low=low,
        high=high,
    )
