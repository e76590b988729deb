"""Compute shaders in WGSL, run through wgpu: on a graphics card, or on a software adapter such as lavapipe.

`GEMM` is the kernel whose index logic `gemm` proves, on a device: the same tiles, the same two buffers, the same edges.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.proof.nothere import NotHere

__all__ = ["GEMM", "TILE", "adapter_name", "multiply", "run_shader"]

Floats = NDArray[np.float32]

TILE: Final = 8
_NEEDS: Final = "needs wgpu (`pip install 'apr-leaderboard[wgpu]'`) and an adapter, real or in software (lavapipe)"

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


@cache
def _device() -> Any:
    """The first adapter's device. Raises `NotHere` without one."""
    try:
        import wgpu
    except ImportError:
        raise NotHere(_NEEDS) from None
    try:
        adapters = wgpu.gpu.enumerate_adapters_sync()
        if not adapters:
            raise NotHere(_NEEDS)
        return adapters[0].request_device_sync()
    except (RuntimeError, OSError) as error:
        raise NotHere(f"{_NEEDS}: {error}") from None


def adapter_name() -> str:
    """What the device calls itself. Raises `NotHere`."""
    return str(_device().adapter.info.get("device", "unknown"))


def run_shader(source: str, inputs: Sequence[bytes], out_bytes: int, groups: tuple[int, int]) -> bytes:
    """Run `main` of a shader over so many workgroups.

    Inputs are bound to 0, 1, ... and the output, which starts as zeros, to the binding after them. Raises `NotHere`.
    """
    import wgpu

    device = _device()
    usage = wgpu.BufferUsage.STORAGE
    buffers = [device.create_buffer_with_data(data=data, usage=usage) for data in inputs]
    out = device.create_buffer(size=out_bytes, usage=usage | wgpu.BufferUsage.COPY_SRC)
    pipeline = device.create_compute_pipeline(
        layout="auto", compute={"module": device.create_shader_module(code=source), "entry_point": "main"}
    )
    bound = device.create_bind_group(
        layout=pipeline.get_bind_group_layout(0),
        entries=[{"binding": i, "resource": {"buffer": one}} for i, one in enumerate([*buffers, out])],
    )
    encoder = device.create_command_encoder()
    turn = encoder.begin_compute_pass()
    turn.set_pipeline(pipeline)
    turn.set_bind_group(0, bound)
    turn.dispatch_workgroups(*groups)
    turn.end()
    device.queue.submit([encoder.finish()])
    return bytes(device.queue.read_buffer(out))


def multiply(a: Floats, b: Floats, source: str = GEMM) -> Floats:
    """A [M, K] times B [K, N] in float32 by the shader. Raises `NotHere`."""
    _device()
    (m, k), n = a.shape, b.shape[1]
    inputs = [struct.pack("<3I", m, n, k), *(np.ascontiguousarray(x, np.float32).tobytes() for x in (a, b))]
    raw = run_shader(source, inputs, 4 * m * n, (-(-n // TILE), -(-m // TILE)))
    return np.frombuffer(raw, np.float32).reshape(m, n)
