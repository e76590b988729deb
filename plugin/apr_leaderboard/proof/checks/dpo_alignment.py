"""DPO: the loss over every float16 margin, its gradient, a policy that learns, and what an engine's training does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.bench import mcnemar_exact
from apr_leaderboard.model.stage import AlignParams
from apr_leaderboard.proof.asking import keeps
from apr_leaderboard.proof.check import expect, measured, proved, tested
from apr_leaderboard.proof.kernels import dpo
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import step_figures
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.trained import ALIGN, TEACHER, harmful, staged

__all__ = ["CHECKS"]

Floats = NDArray[np.float64]
Loss = Callable[[Floats, float], Floats]

_BETAS: Final = (0.01, 0.1, 0.5, 1.0)
_LARGEST: Final = 600.0
"""Beyond it, exp(-margin) leaves float64's range, and losses that differ are stored as equal."""


def _margins() -> Floats:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    return np.unique(every[np.isfinite(every)].astype(np.float64))


def loss_is_never_negative(loss: Loss) -> str:
    """Every finite float16 margin, four betas."""
    for beta in _BETAS:
        found = loss(_margins(), beta)
        bad = np.flatnonzero(~(found >= 0) | ~np.isfinite(found))
        expect(not bad.size, f"beta {beta}: margin {_margins()[bad[0]] if bad.size else 0} gives no loss of 0 or more")
    return f"{_margins().size} float16 margins, beta {', '.join(map(str, _BETAS))}"


def loss_falls_with_the_margin(loss: Loss) -> str:
    """Neighbouring float16 margins up to 600 / beta, but for those closer than float64 tells the losses apart."""
    for beta in _BETAS:
        margins = _margins()
        margins = margins[np.abs(beta * margins) <= _LARGEST]
        # Below 2^-30 apart around 0, log(2) - beta d / 2 differs from log(2) by less than its last digits.
        margins = margins[(np.abs(beta * margins) > 1e-6) | (margins == 0)]
        rises = np.flatnonzero(~(np.diff(loss(margins, beta)) < 0))
        expect(not rises.size, f"beta {beta}: the loss does not fall after {margins[rises[0]] if rises.size else 0}")
    return f"float16 margins with |beta margin| from 1e-6 to {_LARGEST:g}, beta {', '.join(map(str, _BETAS))}"


def gradient_is_the_derivative(gradient: Loss) -> str:
    """Against JAX's own differentiation of log sigmoid."""
    import jax
    import jax.numpy as jnp

    slope = jax.vmap(jax.grad(lambda margin, beta: -jax.nn.log_sigmoid(beta * margin)), (0, None))

    def holds(seed: int, beta: float, spread: float) -> None:
        margins = spread * np.random.default_rng(seed).standard_normal(16)
        want = np.asarray(slope(jnp.asarray(margins, jnp.float32), beta), np.float64)
        worst = float(np.abs(gradient(margins, beta) - want).max())
        expect(worst < 1e-5, f"{worst:.2g} apart: beta {beta}, spread {spread}, seed {seed}")

    whole, real = strategies.integers, strategies.floats
    return for_all(holds, whole(0, 9999), real(0.01, 1.0), real(0.1, 20.0), examples=80)


def policy_learns(sign: float) -> str:
    """Gradient descent on a table of answers: the mean loss of the last epoch is below the first's, margins above 0."""

    def holds(n_answers: int, n_pairs: int, beta: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        quality = rng.permutation(n_answers)
        drawn = [rng.choice(n_answers, 2, replace=False) for _ in range(n_pairs)]
        chosen, rejected = np.array([sorted(pair, key=lambda i: -quality[i]) for pair in drawn]).T
        logits = rng.standard_normal(n_answers)
        reference = logits.copy()
        losses = []
        for _ in range(3):
            # log-softmax differences are logit differences: the normaliser is the same for both answers.
            margins = dpo.margin(logits[chosen], logits[rejected], reference[chosen], reference[rejected])
            losses.append(float(dpo.loss(margins, beta).mean()))
            slope = sign * dpo.gradient(margins, beta) / n_pairs
            np.subtract.at(logits, chosen, slope)
            np.add.at(logits, rejected, slope)
        expect(losses[-1] < losses[0], f"{losses[0]} to {losses[-1]}: {n_pairs} pairs, beta {beta}, seed {seed}")

    whole = strategies.integers
    return for_all(holds, whole(2, 8), whole(1, 12), strategies.floats(0.05, 1.0), whole(0, 9999), examples=80)


def few_problems_are_lost(params: AlignParams, lab: Lab) -> str:
    """The smoke model's teacher, aligned as in recipe L, solves as many problems of the suite but for 1 %."""
    return keeps(lab, TEACHER, [params], 0.01)


def pairs_teach(params: AlignParams, lab: Lab) -> str:
    """Batches of pairs not trained on yet have margins above 0, two points more often than a coin would.

    In one pass each batch is scored before its step, so the second half of it is told apart by what the first half
    taught. Before training every margin is 0: the policy is the reference.
    """
    margins = step_figures(staged(lab, TEACHER, params), "margin")
    later = margins[len(margins) // 2 :]
    right = sum(margin > 0 for margin in later)
    p_value = mcnemar_exact(len(later) - right, right)
    words = f"{right} of {len(later)} batches told apart, mean margin {np.mean(later):.3f}, sign test p = {p_value:.2g}"
    expect(abs(margins[0]) < 1e-3, f"the margin starts at {margins[0]:g}")
    expect(right / len(later) >= 0.52 and p_value < 0.05, words)
    return f"{lab.engine.name}, {TEACHER}: {words}"


def _naive(margins: Floats, beta: float) -> Floats:
    with np.errstate(over="ignore", divide="ignore"):
        found: Floats = -np.log(1 / (1 + np.exp(-beta * margins)))
    return found


CHECKS: Final = (
    proved("FALSIFY-DPO-001", loss_is_never_negative, dpo.loss, _naive),
    proved("FALSIFY-DPO-002", loss_falls_with_the_margin, dpo.loss, lambda m, beta: dpo.loss(np.abs(m), beta)),
    tested("FALSIFY-DPO-003", gradient_is_the_derivative, dpo.gradient, lambda m, beta: -dpo.gradient(m, beta)),
    tested("FALSIFY-DPO-004", policy_learns, 1.0, -1.0),
    measured("FALSIFY-DPO-005", few_problems_are_lost, ALIGN, harmful(ALIGN)),
    measured("FALSIFY-DPO-006", pairs_teach, ALIGN, harmful(ALIGN)),
)
