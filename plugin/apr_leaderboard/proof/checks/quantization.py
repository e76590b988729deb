"""Block formats: what rounding costs, what files weigh, and that quantising comes last."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any, Final

import numpy as np

from apr_leaderboard.model.recipe import Recipe, RecipeProfile, order_warnings
from apr_leaderboard.model.stage import FinetuneParams, MergeParams, PruneParams, QuantizeParams, StageName
from apr_leaderboard.proof.check import expect, measured, proved, tested
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import bytes_of, quantized
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]

_FORMATS: Final = ("Q8_0", "Q6_K", "Q5_K", "Q4_K", "Q4_0")
_STAGES: Final = (StageName.FINETUNE, StageName.MERGE, StageName.PRUNE, StageName.QUANTIZE)


def error_is_small(spoil: Callable[[Any], Any]) -> str:
    """Mean squared error for values in [-1, 1], spread evenly or bunched: below 0.001, in four bits below 0.002.

    Sixteen levels over [-1, 1] are 2/15 apart; rounding to them costs (2/15)^2 / 12 = 0.0015 where values are spread
    evenly, so no four-bit format can promise 0.001 there.
    """
    import gguf

    from apr_leaderboard.engine.reference.kquants import encode

    def holds(name: str, power: float, size: float, seed: int) -> None:
        kind = gguf.GGMLQuantizationType[name]
        drawn = np.random.default_rng(seed).uniform(-1, 1, (2, 256))
        values = (size * np.sign(drawn) * np.abs(drawn) ** power).astype(np.float32)
        back = gguf.quants.dequantize(encode(spoil(values), kind), kind)
        error = float(np.mean((back - values) ** 2))
        bound = 0.002 if name.startswith("Q4") else 0.001
        expect(error < bound, f"{name}: {error:.2g}, power {power}, size {size}, seed {seed}")

    real = strategies.floats
    names = strategies.sampled_from(_FORMATS)
    return for_all(holds, names, real(1.0, 5.0), real(0.05, 1.0), strategies.integers(0, 9999), examples=60)


def file_is_under_half(weigh: Callable[[int], int], lab: Lab) -> str:
    """The specimen in four bits takes less than half the bytes of its float16 values."""
    values = sum(tensor.size for tensor in read_tensors(lab.model().checkpoint).values())
    size = weigh(bytes_of(quantized(lab, "int4")))
    expect(size < 0.5 * 2 * values, f"{size} bytes for {values} values, {2 * values} bytes in float16")
    return f"{lab.engine.name}: {size} bytes, {size / (2 * values):.1%} of float16"


def quantising_comes_last(warnings: Callable[[Recipe], list[str]]) -> str:
    """Of all orders of the weight stages, exactly the golden one is let through without a warning."""
    for count in range(1, 5):
        for order in permutations(_STAGES, count):
            golden = list(order) == [stage for stage in _STAGES if stage in order]
            lines = warnings(_recipe(order))
            expect(bool(lines) != golden, f"{' -> '.join(order)}: {lines or 'no warning'}")
    return "all 64 orders of finetune, merge, prune and quantize"


def _recipe(order: tuple[StageName, ...]) -> Recipe:
    given: dict[str, Any] = {
        "finetune": FinetuneParams(dataset="x"),
        "merge": MergeParams(),
        "prune": PruneParams(),
        "quantize": QuantizeParams(),
    }
    params = {stage.value: given[stage.value] for stage in order}
    profile = RecipeProfile(model="smoke", benchmarks=("smoke",), **params)
    return Recipe(schema=1, name="recipe-x", title="any", stages=order, profiles={"smoke": profile})


CHECKS: Final = (
    tested("FALSIFY-QUANT-001", error_is_small, lambda values: values, lambda values: np.clip(values, -0.4, 0.4)),
    measured("FALSIFY-QUANT-002", file_is_under_half, lambda size: size, lambda size: 2 * size),
    proved("FALSIFY-QUANT-003", quantising_comes_last, order_warnings, lambda recipe: []),
)
