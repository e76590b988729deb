"""TIES: election, trimming and what is left of conflicts, exhausted over a grid of small task vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.jobs import MergeJob
from apr_leaderboard.model.stage import MergeParams
from apr_leaderboard.proof.answering import answer_of, check_passes, copied, keep, lose_half
from apr_leaderboard.proof.check import expect, measured, proved
from apr_leaderboard.proof.lab import Lab

__all__ = ["CHECKS"]

Floats = NDArray[np.float32]
Merge = Callable[[Floats, list[Floats]], Floats]
Trim = Callable[[Floats, float], Floats]


def _grid(n_models: int, reach: int) -> Floats:
    """Every way for models to pull at one entry, as columns [models, cases]."""
    axes = np.meshgrid(*[np.arange(-reach, reach + 1)] * n_models, indexing="ij")
    return np.stack(axes).reshape(n_models, -1).astype(np.float32)


def _engine_merge(base: Floats, tasks: list[Floats]) -> Floats:
    from apr_leaderboard.engine.reference.merge import mix_task_vectors

    return mix_task_vectors(base, tasks, [1.0] * len(tasks), 1.0, elect=True, normalize=True)


def _plain_mean(base: Floats, tasks: list[Floats]) -> Floats:
    mean: Floats = base + np.mean(tasks, axis=0)
    return mean


def _engine_trim(task: Floats, density: float) -> Floats:
    from apr_leaderboard.engine.reference.merge import trim

    return trim(task.copy(), density)


def nothing_pulls_against(merge: Merge) -> str:
    """Each merged entry is the mean of the entries that agree with it: no opposite pull is left in it.

    Before, an entry is in conflict where two models pull apart; after, where the merged value is not what the agreeing
    ones alone give. The field's `conflicts(ties) < conflicts(sum)` is this with the right side above zero.
    """
    for n_models, reach in ((2, 4), (3, 3), (4, 1)):
        grid = _grid(n_models, reach)
        merged = merge(np.zeros(grid.shape[1], np.float32), list(grid))
        for entry, got in zip(grid.T.astype(np.float64), merged, strict=True):
            sign = 1 if entry.sum() >= 0 else -1
            agreeing = entry[entry * sign > 0]
            want = float(agreeing.mean()) if agreeing.size else 0.0
            expect(abs(got - want) < 1e-6, f"{entry.tolist()} merge to {got}, those that agree give {want}")
    return "2 models from -4 to 4, 3 from -3 to 3, 4 from -1 to 1: every case"


def signs_are_elected_by_mass(merge: Merge) -> str:
    """The merged entry is zero or has the sign of the sum."""
    for n_models, reach in ((2, 4), (3, 3), (4, 2)):
        grid = _grid(n_models, reach)
        merged = merge(np.zeros(grid.shape[1], np.float32), list(grid))
        total = grid.sum(axis=0)
        wrong = np.flatnonzero((merged != 0) & (np.sign(merged) != np.where(total >= 0, 1, -1)))
        expect(not wrong.size, f"{grid[:, wrong[0]].tolist() if wrong.size else ''} merge to the other side")
    return "2 models from -4 to 4, 3 from -3 to 3, 4 from -2 to 2: every case"


def density_is_kept(trim: Trim) -> str:
    """Of n entries, max(1, floor(density n)) are left: sizes up to 24, densities in twentieths."""
    for size in range(1, 25):
        task = np.linspace(1, 2, size, dtype=np.float32) * np.where(np.arange(size) % 2, 1, -1).astype(np.float32)
        for twentieths in range(1, 21):
            density = twentieths / 20
            kept = int(np.count_nonzero(trim(task, density)))
            expect(kept > 0 and abs(kept - density * size) < 1, f"{kept} of {size} kept at density {density}")
    return "sizes up to 24, 20 densities"


def largest_are_kept(trim: Trim) -> str:
    """Nothing dropped is larger than anything kept, in magnitude: every order of 5 magnitudes, 4 densities."""
    from itertools import permutations

    for order in permutations(range(1, 6)):
        task = np.array([value * (-1) ** value for value in order], np.float32)
        for density in (0.2, 0.4, 0.6, 0.8):
            kept = trim(task, density) != 0
            low, high = np.abs(task[kept]).min(), np.abs(task[~kept]).max()
            expect(low > high, f"{task.tolist()} at {density}: keeps {low}, drops {high}")
    return "120 orders of 5 magnitudes, 4 densities"


def merged_model_works(spoil: Callable[[Path], None], lab: Lab) -> str:
    """The engine opens the merged model again: every stage of its own check passes, and it answers a prompt."""
    params = MergeParams(strategy="ties", density=0.5)
    models = [lab.model(1), lab.model(2), lab.model(3)]
    merged = lab.make(lambda found: MergeJob(found[:2], found[2], params), params, models)
    checked = check_passes(merged, lab, spoil)
    return f"{checked}, {answer_of(copied(merged, lab, spoil), lab)}"


def _by_head_count(base: Floats, tasks: list[Floats]) -> Floats:
    votes = np.sign(tasks).sum(axis=0)
    sign = np.where(votes >= 0, 1, -1)
    agreeing = np.where(np.sign(tasks) == sign, tasks, 0)
    merged: Floats = base + agreeing.sum(axis=0)
    return merged


def _first_ones(task: Floats, density: float) -> Floats:
    return np.where(np.arange(task.size) < max(1, int(density * task.size)), task, np.float32(0))


CHECKS: Final = (
    proved("FALSIFY-TIES-001", nothing_pulls_against, _engine_merge, _plain_mean),
    proved("FALSIFY-TIES-002", signs_are_elected_by_mass, _engine_merge, _by_head_count),
    proved("FALSIFY-TIES-003", density_is_kept, _engine_trim, lambda task, density: _engine_trim(task, density / 2)),
    proved("FALSIFY-TIES-004", largest_are_kept, _engine_trim, _first_ones),
    measured("FALSIFY-TIES-005", merged_model_works, keep, lose_half),
)
