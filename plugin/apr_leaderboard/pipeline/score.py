"""From problems judged to pass@k with its interval; one way, whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from apr_leaderboard.bench import intervals_for, mean_pass_at_k
from apr_leaderboard.model.results import BenchmarkResult, EvaluationInfo, ProblemResult

__all__ = ["summarize"]


def summarize(
    info: EvaluationInfo, problems: Sequence[ProblemResult], ks: Sequence[int], *, n_infra: int = 0
) -> BenchmarkResult:
    """The result of an evaluation.

    A k for which some judged problem has fewer than k samples is left out: it was not measured. A problem without any
    sample is in no rate, and leaves the result incomplete.
    """
    judged = [problem for problem in problems if problem.n]
    counts = [(problem.n, problem.c) for problem in judged]
    usable = [k for k in ks if counts and min(n for n, _ in counts) >= k]
    return BenchmarkResult(
        **info.model_dump(),
        n_judged=len(judged),
        n_infra=n_infra,
        complete=len(judged) == info.n_problems and not info.partial,
        pass_at_k={str(k): mean_pass_at_k(counts, k) for k in usable},
        interval=dict(zip(map(str, usable), intervals_for(counts, usable) if usable else (), strict=True)),
        problems=tuple(problems),
    )
