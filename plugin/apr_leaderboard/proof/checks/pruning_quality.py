"""Pruning: as many zeros as asked for, the right ones, and a model at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from apr_leaderboard.engine.jobs import PruneJob
from apr_leaderboard.model.stage import PruneParams
from apr_leaderboard.proof.answering import check_passes, keep, lose_half
from apr_leaderboard.proof.asking import keeps
from apr_leaderboard.proof.check import expect, measured, tested
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import PRUNED_SHARE, pruned, text_perplexity
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.trained import PRUNE, PRUNE_TOO_MUCH, TEACHER
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]


def share_is_met(look: Callable[[Any], Any], lab: Lab) -> str:
    """Zeros counted in the file: each matrix of the decoder layers within 1 % of the share; nothing else touched."""
    base, found = read_tensors(lab.model().checkpoint), read_tensors(pruned(lab).checkpoint)
    seen = 0
    for name, values in found.items():
        if values.ndim == 2 and "layers." in name:
            share = 1 - np.count_nonzero(look(values)) / values.size
            expect(abs(share - PRUNED_SHARE) < 0.01, f"{name}: {share:.1%} zero, {PRUNED_SHARE:.0%} asked for")
            seen += 1
        else:
            expect(np.array_equal(values, base[name]), f"{name} changed")
    expect(seen > 0, "no matrix was pruned")
    return f"{lab.engine.name}: {seen} matrices at {PRUNED_SHARE:.0%}"


def little_is_lost(params: PruneParams, lab: Lab) -> str:
    """The smoke model pruned by a tenth predicts held-out text with less than 5 % more perplexity."""
    base = lab.trained()
    made = lab.make(lambda found: PruneJob(found[0], None, params), params, [base])
    before, after = text_perplexity(lab, base), text_perplexity(lab, made)
    expect(after < 1.05 * before, f"perplexity {before:.2f} before, {after:.2f} after")
    return f"{lab.engine.name}: {before:.3f} before, {after:.3f} after {params.method} at {params.target_ratio:.0%}"


def few_problems_are_lost(params: PruneParams, lab: Lab) -> str:
    """The smoke model's teacher, pruned as in recipe K, solves as many problems of the suite but for 3 %."""
    return keeps(lab, TEACHER, [params], 0.03)


def mask_is_wandas(mask: Callable[[Any, Any, float], Any]) -> str:
    """In each row, what is dropped scores no higher by |W| ||X|| than what stays (Sun et al. 2023, equation 1)."""

    def holds(rows: int, columns: int, ratio: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        weight = rng.standard_normal((rows, columns)).astype(np.float32)
        norms = np.exp(2 * rng.standard_normal(columns)).astype(np.float32)
        dropped = np.asarray(mask(weight, norms, ratio), bool)
        scores = np.abs(weight.astype(np.float64)) * norms
        for row in range(rows):
            out, kept = scores[row][dropped[row]], scores[row][~dropped[row]]
            expect(abs(out.size - ratio * columns) <= 1, f"{out.size} of {columns} dropped at {ratio}")
            right = not out.size or not kept.size or out.max() <= kept.min() * (1 + 1e-6)
            expect(right, f"row {row} drops {out.max() if out.size else 0:.3g}, seed {seed}")

    whole = strategies.integers
    return for_all(holds, whole(1, 4), whole(4, 40), strategies.floats(0.1, 0.9), whole(0, 9999), examples=80)


def _wanda(weight: Any, norms: Any, ratio: float) -> Any:
    from apr_leaderboard.engine.reference.prune import wanda_mask

    return wanda_mask(weight, norms, ratio)


def _pruning(ratio: float) -> PruneParams:
    return PruneParams(method="magnitude", target_ratio=ratio)


CHECKS: Final = (
    measured("FALSIFY-PRUNE-001", share_is_met, lambda values: values, lambda values: values[: len(values) // 2] * 0),
    measured("FALSIFY-PRUNE-002", little_is_lost, _pruning(0.1), _pruning(0.9)),
    measured("FALSIFY-PRUNE-003", few_problems_are_lost, PRUNE, PRUNE_TOO_MUCH),
    measured("FALSIFY-PRUNE-004", lambda spoil, lab: check_passes(pruned(lab), lab, spoil), keep, lose_half),
    tested("FALSIFY-PRUNE-005", mask_is_wandas, _wanda, lambda w, n, r: _wanda(w, np.ones_like(n), r)),
)
