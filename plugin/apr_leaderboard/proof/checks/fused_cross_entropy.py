"""Fused cross-entropy: its identities over all logits, its numbers and memory on drawn ones, the engine's masking."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.proof.check import expect, proved, tested
from apr_leaderboard.proof.kernels import cross_entropy as kernel
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.solver import prove
from apr_leaderboard.proof.terms import loss_is_never_negative, positives, share, shares_leak

__all__ = ["CHECKS"]

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Losses = Callable[[Floats, Labels, int], Floats]


def _draw(rows: int, size: int, spread: float, seed: int) -> tuple[Floats, Labels]:
    rng = np.random.default_rng(seed)
    return spread * rng.standard_normal((rows, size)), rng.integers(0, size, rows)


def _shapes() -> tuple[Any, ...]:
    whole = strategies.integers
    return whole(1, 4), whole(2, 70), strategies.floats(0.01, 300.0), whole(0, 9999), whole(1, 32)


def agrees_with_naive(losses: Losses) -> str:
    """|fused - naive| < 1e-5, naive in long doubles where float64 would run out of range."""

    def holds(rows: int, size: int, spread: float, seed: int, chunk: int) -> None:
        logits, labels = _draw(rows, size, spread, seed)
        wide = logits.astype(np.longdouble)
        top = wide.max(axis=1)
        want = top + np.log(np.exp(wide - top[:, None]).sum(axis=1)) - wide[np.arange(rows), labels]
        worst = float(np.abs(losses(logits, labels, chunk) - want).max())
        expect(worst < 1e-5, f"{worst:.2g} apart: [{rows}, {size}], spread {spread}, chunk {chunk}, seed {seed}")

    return for_all(holds, *_shapes(), examples=150)


def chunks_add_up(combine: Callable[[Sequence[Any], Sequence[Any]], Any]) -> str:
    """Sums taken chunk by chunk, each relative to its own maximum, give the sum of the whole: all real logits."""
    for sizes in ((1, 1), (2, 2), (2, 1, 2)):
        totals, tops, claims = [], [], []
        whole: Any = 0
        for number, size in enumerate(sizes):
            terms, positive = positives(f"e{number}_", size)
            (top,), above = positives(f"m{number}", 1)
            claims += [*positive, *above]
            totals.append(sum((term / top for term in terms[1:]), terms[0] / top))
            tops.append(top)
            whole = whole + sum(terms[1:], terms[0])
        prove(combine(totals, tops) == whole, *claims)
    return "z3: 2 and 3 chunks of 1 and 2 entries, all real logits and all maxima"


def gradient_sums_to_zero(softmax: Callable[[Sequence[Any], int], Any]) -> str:
    """sum_i (softmax_i - [i = label]) = 0: vocabularies of 2 to 5, all real logits."""
    for size in range(2, 6):
        terms, positive = positives("e", size)
        total = sum((softmax(terms, i) for i in range(1, size)), softmax(terms, 0))
        prove(total - 1 == 0, *positive)
    return "z3: vocabularies of 2 to 5, all real logits"


def gradient_is_the_derivative(gradient: Losses) -> str:
    """Against central differences of the naive loss."""

    def holds(rows: int, size: int, spread: float, seed: int, chunk: int) -> None:
        logits, labels = _draw(rows, min(size, 12), min(spread, 5.0), seed)
        got = gradient(logits, labels, chunk)
        step = 1e-5
        for i in range(logits.shape[1]):
            nudge = np.zeros(logits.shape[1])
            nudge[i] = step
            slope = (kernel.naive(logits + nudge, labels) - kernel.naive(logits - nudge, labels)) / (2 * step)
            worst = float(np.abs(got[:, i] - slope).max())
            expect(worst < 1e-6, f"entry {i}: {worst:.2g} apart, seed {seed}")

    return for_all(holds, *_shapes(), examples=60)


def memory_does_not_grow(losses: Losses) -> str:
    """The most memory held at once, fused against naive, vocabularies of 1,000 to 16,000, as tracemalloc sees NumPy."""
    for size in (1000, 4000, 16000):
        logits, labels = _draw(8, size, 1.0, size)
        fused = _peak(lambda table, wanted: losses(table, wanted, 256), logits, labels)
        naive = _peak(kernel.naive, logits, labels)
        expect(fused < naive / 4, f"vocabulary {size}: {fused} bytes fused, {naive} naive")
    return "8 rows, vocabularies of 1,000, 4,000 and 16,000"


def prompt_does_not_count(mask_of: Callable[[Floats], Floats]) -> str:
    """The engine's loss: any change of logits outside of the response leaves it as it was; inside it does not."""
    import jax.numpy as jnp

    from apr_leaderboard.engine.reference.losses import masked_loss

    length = 8

    def holds(prompt: int, seed: int) -> None:
        logits, labels = _draw(length, 7, 3.0, seed)
        mask = (np.arange(length) >= prompt).astype(np.float64)
        changed = logits + np.where(mask, 0.0, 5.0)[:, None] * np.arange(7)
        table = jnp.asarray(labels[None], jnp.int32)
        weight = jnp.asarray(mask_of(mask)[None], jnp.float32)
        before, after = (
            float(masked_loss(jnp.asarray(x[None], jnp.float32), table, weight)) for x in (logits, changed)
        )
        expect(abs(before - after) < 1e-6, f"prompt of {prompt} in {length}: {before} became {after}, seed {seed}")
        want = kernel.masked_mean(kernel.naive(logits, labels), mask.astype(bool))
        expect(abs(before - want) < 1e-5 * max(1.0, want), f"{before} for {want}: seed {seed}")

    whole = strategies.integers
    return for_all(holds, whole(1, 7), whole(0, 9999), examples=40)


def _peak(losses: Callable[[Floats, Labels], Any], logits: Floats, labels: Labels) -> int:
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        losses(logits, labels)
        return tracemalloc.get_traced_memory()[1] - base
    finally:
        if not running:
            tracemalloc.stop()


def _combined(totals: Sequence[Any], tops: Sequence[Any]) -> Any:
    parts = [total * top for total, top in zip(totals, tops, strict=True)]
    return sum(parts[1:], parts[0])


def _unscaled(totals: Sequence[Any], tops: Sequence[Any]) -> Any:
    return sum(totals[1:], totals[0]) * tops[0]


def _last_chunk_lost(logits: Floats, labels: Labels, chunk: int) -> Floats:
    kept = max(1, logits.shape[1] // 2)
    rows = zip(logits, labels, strict=True)
    return np.array([kernel.chunked_log_sum_exp(row[:kept], chunk) - row[label] for row, label in rows])


def _label_forgotten(logits: Floats, labels: Labels, chunk: int) -> Floats:
    shares = kernel.gradient(logits, labels, chunk)
    shares[np.arange(len(labels)), labels] += 1
    return shares


CHECKS: Final = (
    tested("FALSIFY-FCE-001", agrees_with_naive, kernel.fused, _last_chunk_lost),
    proved("FALSIFY-FCE-002", loss_is_never_negative, share, shares_leak),
    proved("FALSIFY-FCE-003", gradient_sums_to_zero, share, shares_leak),
    tested("FALSIFY-FCE-004", memory_does_not_grow, kernel.fused, lambda x, y, chunk: kernel.naive(x, y)),
    tested("FALSIFY-FCE-005", prompt_does_not_count, lambda mask: mask, np.ones_like),
    proved("FALSIFY-FCE-006", chunks_add_up, _combined, _unscaled),
    tested("FALSIFY-FCE-007", gradient_is_the_derivative, kernel.gradient, _label_forgotten),
)
