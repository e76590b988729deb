"""Tiled matrix product: the index logic exhausted over small shapes and over all sizes, and the kernel on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.proof.check import expect, proved, tested
from apr_leaderboard.proof.kernels import gemm, wgsl
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.solver import prove, z3

__all__ = ["CHECKS"]

Ints = NDArray[np.int64]

_SIZES: Final = range(1, 8)
_TILES: Final = (1, 2, 3, 4)


def tiles_give_the_product(multiply: Callable[[Ints, Ints, int], Ints]) -> str:
    """Whole numbers with no pattern, so exactly: every M, N, K up to 7, tiles of 1 to 4."""
    for m, n, k in product(_SIZES, repeat=3):
        a = np.arange(1, m * k + 1, dtype=np.int64).reshape(m, k) * 101 % 997
        b = np.arange(1, k * n + 1, dtype=np.int64).reshape(k, n) * 577 % 991
        want = a @ b
        for tile in _TILES:
            expect(np.array_equal(multiply(a, b, tile), want), f"M = {m}, N = {n}, K = {k}, tiles of {tile}")
    return f"every M, N, K up to {_SIZES[-1]}, tiles of 1 to 4, in whole numbers"


def every_index_is_inside(flat: Callable[[Any, Any, Any], Any]) -> str:
    """m < M and n < N implies 0 <= m N + n < M N: all whole numbers."""
    m, n, rows, width = z3.Ints("m n M N")
    inside = (m >= 0, n >= 0, m < rows, n < width)
    # (m + 1) N <= M N is what the solver needs to be told to look at.
    prove(z3.And(flat(m, n, width) >= 0, flat(m, n, width) < (m + 1) * width), *inside)
    prove((m + 1) * width <= rows * width, *inside)
    return "z3: all whole m < M, n < N"


def buffers_never_meet(stages: Callable[[Any], tuple[Any, Any]]) -> str:
    """The buffer being written is never the one being read, and what is read is what the step before wrote."""
    step = z3.Int("step")
    write, read = stages(step)
    written_before, _ = stages(step - 1)
    prove(write != read, step >= 0)
    prove(read == written_before, step >= 1)
    return "z3: all steps"


def every_tile_is_computed_once(schedule: Callable[[int], Iterable[gemm.Phase]]) -> str:
    """Up to 64 tiles: each is loaded, then computed from the buffer it is in, once and in order."""
    for n_tiles in range(65):
        held: dict[int, int | None] = {}
        computed = []
        for phase in schedule(n_tiles):
            if phase.computing is not None:
                expect(
                    held.get(phase.read) == phase.computing, f"{n_tiles} tiles: {phase} reads {held.get(phase.read)}"
                )
                computed.append(phase.computing)
            if phase.loading is not None:
                held[phase.write] = phase.loading
        expect(computed == list(range(n_tiles)), f"{n_tiles} tiles: computed {computed}")
    return "0 to 64 tiles"


def nothing_is_read_outside(loads: Callable[[int, int, int], list[int]]) -> str:
    """No thread touches an index outside of its array, and none inside is left out: sizes to 32, tiles to 8."""
    for size, tile in product(range(1, 33), range(1, 9)):
        touched = [i for start in range(0, size, tile) for i in loads(size, start, tile)]
        expect(touched == list(range(size)), f"size {size}, tiles of {tile}: touches {touched[-3:]}")
    return "sizes to 32, tiles to 8"


def device_agrees(multiply: Callable[[Any, Any], Any]) -> str:
    """The WGSL kernel, on an adapter: shapes up to 40 drawn, against the product in float64.

    The bound is that of a float32 sum of K products, K eps sum |a b| (Higham 2002, section 3.1), with room for fused
    and reordered ones.
    """

    def agrees(m: int, n: int, k: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (k, n)))
        exact = a.astype(np.float64) @ b.astype(np.float64)
        bound = 2 * (k + 1) * np.finfo(np.float32).eps * (np.abs(a).astype(np.float64) @ np.abs(b)) + 1e-30
        worst = np.abs(multiply(a, b) - exact) / bound
        expect(worst.max() <= 1, f"M = {m}, N = {n}, K = {k}, seed {seed}: {worst.max():.3g} times the bound")

    size = strategies.integers(1, 40)
    drawn = for_all(agrees, size, size, size, strategies.integers(0, 999), examples=60)
    return f"{drawn}, on {wgsl.adapter_name()}"


def _edge_dropped(a: Ints, b: Ints, tile: int) -> Ints:
    whole = a.shape[1] - a.shape[1] % tile
    return gemm.multiply(a[:, :whole], b[:whole], tile) if whole else np.zeros((a.shape[0], b.shape[1]), np.int64)


def _skipped(n_tiles: int) -> Iterable[gemm.Phase]:
    return (phase for phase in gemm.schedule(n_tiles) if phase.computing != 3)


def _partial_tile_dropped(a: Any, b: Any) -> Any:
    return wgsl.multiply(a, b, wgsl.GEMM.replace("(shape.k + TILE - 1u) / TILE", "shape.k / TILE"))


CHECKS: Final = (
    proved("FALSIFY-WGSL-GEMM-001", tiles_give_the_product, gemm.multiply, _edge_dropped),
    proved(
        "FALSIFY-WGSL-GEMM-002", every_index_is_inside, gemm.flat, lambda row, column, width: row * width + column + 1
    ),
    proved("FALSIFY-WGSL-GEMM-003", buffers_never_meet, gemm.stages, lambda step: (step % 2, step % 2)),
    proved(
        "FALSIFY-WGSL-GEMM-004", nothing_is_read_outside, gemm.loads, lambda size, at, tile: [*range(at, at + tile)]
    ),
    tested("FALSIFY-WGSL-GEMM-005", device_agrees, wgsl.multiply, _partial_tile_dropped),
    proved("FALSIFY-WGSL-GEMM-006", every_tile_is_computed_once, gemm.schedule, _skipped),
)
