"""The kernel whose index logic `gemm` proves, in WGSL, on an adapter: the same tiles, two buffers, and edges."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.shaders import Adapter, open_adapter, run_shader
from apr_leaderboard.errors import AdapterMissingError
from apr_leaderboard.proof.nothere import NotHere

__all__ = ["GEMM", "TILE", "adapter_name", "multiply"]

Floats = NDArray[np.float32]

TILE: Final = 8

GEMM: Final = """
struct Shape { m: u32, n: u32, k: u32 }
@group(0) @binding(0) var<storage, read> shape: Shape;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const TILE: u32 = 8u;
var<workgroup> left: array<array<f32, 64>, 2>;
var<workgroup> right: array<array<f32, 64>, 2>;

// Threads beyond the edge load zeros.
fn load(buffer: u32, tile: u32, row: u32, column: u32, at: vec2<u32>) {
    let place = at.y * TILE + at.x;
    let across = tile * TILE + at.x;
    let down = tile * TILE + at.y;
    left[buffer][place] = 0.0;
    right[buffer][place] = 0.0;
    if (row < shape.m && across < shape.k) { left[buffer][place] = a[row * shape.k + across]; }
    if (down < shape.k && column < shape.n) { right[buffer][place] = b[down * shape.n + column]; }
}

@compute @workgroup_size(8, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
    let row = group.y * TILE + local.y;
    let column = group.x * TILE + local.x;
    let tiles = (shape.k + TILE - 1u) / TILE;
    var sum = 0.0;
    // Step s loads tile s into buffer s % 2 and computes tile s - 1 from the other.
    for (var step = 0u; step <= tiles; step = step + 1u) {
        if (step < tiles) { load(step % 2u, step, row, column, local.xy); }
        if (step > 0u) {
            let read = (step + 1u) % 2u;
            for (var j = 0u; j < TILE; j = j + 1u) {
                sum = sum + left[read][local.y * TILE + j] * right[read][j * TILE + local.x];
            }
        }
        workgroupBarrier();
    }
    // ... and store nothing.
    if (row < shape.m && column < shape.n) { out[row * shape.n + column] = sum; }
}
"""


def adapter_name() -> str:
    """What the adapter calls itself. Raises `NotHere`."""
    return _adapter().name


def multiply(a: Floats, b: Floats, source: str = GEMM) -> Floats:
    """A [M, K] times B [K, N] in float32 by the shader. Raises `NotHere`."""
    _adapter()
    (m, k), n = a.shape, b.shape[1]
    inputs = [struct.pack("<3I", m, n, k), *(np.ascontiguousarray(x, np.float32).tobytes() for x in (a, b))]
    raw = run_shader(source, inputs, 4 * m * n, (-(-n // TILE), -(-m // TILE)))
    return np.frombuffer(raw, np.float32).reshape(m, n)


def _adapter() -> Adapter:
    try:
        return open_adapter()
    except AdapterMissingError as missing:
        raise NotHere(str(missing)) from None
