"""How an evaluation stands while it is still being judged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from apr_leaderboard.bench import pass_at_k, wilson
from apr_leaderboard.model.results import EvaluationInfo

__all__ = ["SoFar", "so_far"]


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

    The interval is Wilson's as if each problem had one sample: for more samples it is too wide rather than too narrow,
    and the final one, a bootstrap, would take longer to draw than to look at.
    """
    counts = [(n, c) for n, c in counts if n]
    if not counts:
        return None
    mean = math.fsum(pass_at_k(n, c, 1) for n, c in counts) / len(counts)
    interval = wilson(round(mean * len(counts)), len(counts))
    subject = f"{info.model} after {info.after}" if info.after else info.model
    return SoFar(
        evaluation=info.id,
        title=f"{info.name} on {subject} by {info.engine}",
        judged=len(counts),
        problems=info.n_problems,
        solved=sum(c > 0 for _, c in counts),
        pass_at_1=mean,
        low=min(interval.low, mean),
        high=max(interval.high, mean),
    )
