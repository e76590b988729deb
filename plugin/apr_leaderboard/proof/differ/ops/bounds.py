"""How far a rounded weight may lie from what it was, and which tensors are rounded at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

__all__ = ["rounding_bounds", "split_by_kind"]

_LEVELS: Final[Mapping[str, int]] = {"int8": 127, "int4": 7}


def split_by_kind(tensors: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Matrices, and the norms and biases, which every scheme of llama.cpp leaves as floats."""
    matrices = {name: array for name, array in tensors.items() if array.ndim > 1}
    return matrices, {name: array for name, array in tensors.items() if array.ndim == 1}


def rounding_bounds(tensors: Mapping[str, Any], scheme: str) -> dict[str, float]:
    """For each tensor, the error that the scheme's coarsest honest form allows.

    fp16: half a unit in the last place of the largest value. int8 and int4: one whole step where one scale serves the
    tensor, so that rounding to nearest with any finer scales, and a clipped end, are both within it. q4k: the range of
    a tensor in 15 steps, one step each, and the six bits of its scales (one in 63) on top.
    """
    found = {}
    for name, array in tensors.items():
        largest = float(np.abs(array).max())
        if scheme == "fp16":
            bound = largest * 2**-11 + 2**-25
        elif scheme == "q4k":
            span = max(float(array.max()), 0.0) - min(float(array.min()), 0.0)
            bound = span / 15 + 2 * largest / 63
        else:
            bound = largest / _LEVELS[scheme] * 1.01 + 1e-12
        found[name] = bound
    return found
