"""Weights, looked at by this side: what an operation should have left, computed in float64 and on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.kernels.interpolation import slerp
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.weights import read_tensors

__all__ = [
    "conflicts",
    "largest_gap",
    "magnitude_mask",
    "norm_drift",
    "slerp_of",
    "tensors_of",
    "ties_of",
    "wanda_mask",
    "zero_share",
]

Array = NDArray[np.float64]
Tensors = dict[str, Array]


def tensors_of(made: Made, names: Mapping[str, object] | None = None) -> Tensors:
    """A checkpoint's tensors in float64, those called as in `names`. Raises `Refuted` for one that is not there.

    Engines that keep the output layer apart have one name more than others; it is looked at where both have it.
    """
    found = read_tensors(made.checkpoint)
    wanted = list(found) if names is None else list(names)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise Refuted(f"{len(missing)} of {len(wanted)} tensors are not in the file, such as {missing[0]}")
    return {name: np.asarray(found[name], np.float64) for name in wanted}


def largest_gap(got: Mapping[str, Array], want: Mapping[str, Array]) -> tuple[float, str]:
    """The largest difference of two sets of tensors, as a share of the wanted tensor's largest value, and where.

    Raises `Refuted` for another shape.
    """
    worst, where = 0.0, ""
    for name, right in want.items():
        if got[name].shape != right.shape:
            raise Refuted(f"{name}: shape {got[name].shape} where {right.shape} belongs")
        size = float(np.abs(right).max()) or 1.0
        gap = float(np.abs(got[name] - right).max()) / size
        if not gap <= worst:  # so that a gap of NaN is seen
            worst, where = gap, name
    return worst, where


def slerp_of(a: Tensors, b: Tensors, t: float) -> Tensors:
    """Each tensor on the great circle between the two (Shoemake 1985)."""
    return {name: slerp(a[name], b[name], t) for name in a}


def norm_drift(merged: Tensors, a: Tensors, b: Tensors, t: float) -> tuple[float, str]:
    """The largest share by which a tensor's norm misses the two norms' own interpolation, and where."""
    worst, where = 0.0, ""
    for name in a:
        between = (1 - t) * np.linalg.norm(a[name]) + t * np.linalg.norm(b[name])
        if between > 0:
            drift = abs(float(np.linalg.norm(merged[name]) / between) - 1)
            if not drift <= worst:
                worst, where = drift, name
    return worst, where


def ties_of(base: Tensors, models: Sequence[Tensors], density: float) -> tuple[Tensors, dict[str, list[Array]]]:
    """Yadav et al. 2023, algorithm 1: trim, elect by mass, take the mean of those that agree. And the trimmed tasks."""
    merged, kept = {}, {}
    for name, start in base.items():
        tasks = [_trimmed(model[name] - start, density) for model in models]
        total = np.sum(tasks, axis=0)
        sign = np.where(total >= 0, 1.0, -1.0)
        agree = [np.where(task * sign > 0, task, 0.0) for task in tasks]
        count = np.sum([np.where(task != 0, 1, 0) for task in agree], axis=0)
        merged[name] = start + np.sum(agree, axis=0) / np.maximum(count, 1)
        kept[name] = tasks
    return merged, kept


def conflicts(base: Tensors, merged: Tensors, tasks: Mapping[str, Sequence[Array]]) -> tuple[int, int]:
    """Entries on which task vectors pull apart, and entries whose merged value holds a pull against its own side.

    The second is where the merged value differs from what those that agree with it give by themselves.
    """
    before = after = 0
    for name, start in base.items():
        stack = np.stack(tasks[name])
        before += int(((stack > 0).any(axis=0) & (stack < 0).any(axis=0)).sum())
        moved = merged[name] - start
        side = np.sign(moved)
        agree = np.where(stack * side > 0, stack, 0.0)
        mean = agree.sum(axis=0) / np.maximum((agree != 0).sum(axis=0), 1)
        size = np.abs(stack).max() or 1.0
        against = (stack * side < 0).any(axis=0) & (np.abs(moved - mean) > 1e-4 * size)
        after += int(against.sum())
    return before, after


def wanda_mask(weight: Array, norms: Array, ratio: float) -> NDArray[np.bool_]:
    """Of each row [out, in], the entries with the smallest |W| ||x|| (Sun et al. 2023, equation 1)."""
    return _smallest(np.abs(weight) * norms[None, :], ratio)


def magnitude_mask(weight: Array, ratio: float) -> NDArray[np.bool_]:
    """Of each row, the entries with the smallest |W|."""
    return _smallest(np.abs(weight), ratio)


def zero_share(tensors: Mapping[str, Array]) -> float:
    """Of the matrices of the decoder layers, how much is zero. Raises `Refuted` where there is none."""
    matrices = [values for name, values in tensors.items() if values.ndim == 2 and "layers." in name]
    if not matrices:
        raise Refuted("the model has no matrix in a decoder layer")
    return 1 - sum(int(np.count_nonzero(one)) for one in matrices) / sum(one.size for one in matrices)


def _smallest(scores: Array, ratio: float) -> NDArray[np.bool_]:
    count = int(ratio * scores.shape[1])
    mask = np.zeros(scores.shape, bool)
    np.put_along_axis(mask, np.argsort(scores, axis=1, kind="stable")[:, :count], values=True, axis=1)
    return mask


def _trimmed(task: Array, density: float) -> Array:
    keep = max(1, int(density * task.size))
    order = np.argsort(-np.abs(task).ravel(), kind="stable")
    out = np.zeros(task.size)
    out[order[:keep]] = task.ravel()[order[:keep]]
    return out.reshape(task.shape)
