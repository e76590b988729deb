"""Claims about what a program left, as the plain objects that `look` holds files against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from apr_leaderboard.proof.differ.operation import Claim

__all__ = ["at_most", "ends", "holds", "inside", "lines", "moved", "says", "tensors", "whole", "zeros"]


def ends(step: int, expect: str, name: str = "refuses") -> Claim:
    """The command of this number (from 1) ends `done` or `refused`, which is to decline in words."""
    return {"name": name, "kind": "exit", "step": step, "expect": expect}


def inside(file: str, expect: str, name: str = "file format") -> Claim:
    """The file is apr, safetensors or gguf by its first bytes."""
    return {"name": name, "kind": "format", "file": file, "expect": expect}


def says(name: str, file: str, at: Sequence[str | int], expect: Any, within: float = 0.0) -> Claim:
    """A figure of a JSON document or of a model file's metadata; `within` is relative."""
    return {"name": name, "kind": "value", "file": file, "at": list(at), "expect": expect, "within": within}


def tensors(
    name: str,
    file: str,
    expect: Mapping[str, Any],
    *,
    within: float | Mapping[str, float] = 0.0,
    only: bool = False,
    may: Iterable[str] = (),
) -> Claim:
    """Tensors of these names, shapes and values, give or take `within` (one bound, or one for each name).

    `only`: and no other ones but those named in `may`.
    """
    wanted = {}
    for tensor, array in expect.items():
        bound = within if isinstance(within, float) else within.get(tensor, 0.0)
        values = np.asarray(array, np.float64)
        wanted[tensor] = {"shape": list(values.shape), "values": _digits(values), "within": float(bound)}
    return {"name": name, "kind": "tensors", "file": file, "expect": wanted, "only": only, "may": list(may)}


def holds(
    name: str, file: str, shapes: Mapping[str, Sequence[int]], *, only: bool = True, may: Iterable[str] = ()
) -> Claim:
    """Tensors of these names and shapes, whatever their values."""
    wanted = {tensor: {"shape": list(shape)} for tensor, shape in shapes.items()}
    return {"name": name, "kind": "tensors", "file": file, "expect": wanted, "only": only, "may": list(may)}


def whole(file: str) -> Claim:
    """Every tensor of floats has the bytes that its shape takes."""
    return {"name": "tensors whole", "kind": "whole", "file": file}


def zeros(name: str, file: str, rows: Mapping[str, Sequence[int]], within: int = 0) -> Claim:
    """How many zeros each row of each named tensor holds; a list of one number counts all of a tensor's."""
    return {
        "name": name,
        "kind": "zeros",
        "file": file,
        "expect": {tensor: [int(n) for n in counts] for tensor, counts in rows.items()},
        "within": within,
    }


def moved(name: str, file: str, base: Mapping[str, Any], low: float, high: float) -> Claim:
    """The share of all values that are not those of `base`."""
    flat = {tensor: _digits(array) for tensor, array in base.items()}
    return {"name": name, "kind": "moved", "file": file, "base": flat, "expect": [low, high]}


def lines(name: str, files: Sequence[str], expect: Sequence[Any], *, ordered: bool = False) -> Claim:
    """The JSON lines of the files together."""
    return {"name": name, "kind": "lines", "files": list(files), "expect": list(expect), "ordered": ordered}


def _digits(array: Any) -> list[float]:
    """Flat, in nine digits: enough to tell every float32, and short in a reproducer."""
    return [float(f"{value:.9g}") for value in np.asarray(array, np.float64).reshape(-1).tolist()]


def at_most(name: str, file: str, names: Sequence[str], n_bytes: int) -> Claim:
    """Bytes of the named tensors of a model file together."""
    return {"name": name, "kind": "at_most", "file": file, "names": list(names), "expect": n_bytes}
