"""Matrix products on an adapter, and how many of its dispatches they took."""

from __future__ import annotations

import struct
import threading
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.shaders.adapter import Adapter
from apr_leaderboard.engine.shaders.tiles import QUAD, Tile, product_shader, tile_for

__all__ = ["DeviceProduct"]

Floats = NDArray[np.float32]

_SIZE: Final = 4
"""Bytes of a float32."""


@dataclass(frozen=True)
class _Work:
    """What one shape of product needs: a pipeline, buffers bound to it, one more to read from, and the workgroups."""

    pipeline: Any
    bound: Any
    inputs: tuple[Any, Any]
    result: Any
    staging: Any
    groups: tuple[int, int]


@dataclass
class DeviceProduct:
    """A [m, k] times B [k, n] in float32 on an adapter.

    The same operands give the same bytes on the same adapter: each sum is taken in the order of K by one thread. May be
    called from any thread, one product at a time. `dispatches` counts the shaders started.
    """

    adapter: Adapter
    dispatches: int = 0
    largest: int | None = None
    """Elements that one buffer may hold; None: what the adapter allows."""
    _works: dict[tuple[int, int, int], _Work] = field(default_factory=dict, repr=False)
    _pipelines: dict[Tile, Any] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.largest is None:
            self.largest = min(self.adapter.limits.values()) // _SIZE

    def __call__(self, a: Floats, b: Floats) -> Floats:
        """The product. Raises ValueError for operands that do not fit each other, TypeError where they are not float32,
        and RuntimeError for what the device reports."""
        if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
            raise ValueError(f"no product of shapes {a.shape} and {b.shape}; accepted: [m, k] and [k, n]")
        if a.dtype != np.float32 or b.dtype != np.float32:
            raise TypeError(f"no product of {a.dtype} and {b.dtype}; accepted: float32")
        if 0 in (*a.shape, *b.shape):
            return np.zeros((a.shape[0], b.shape[1]), np.float32)
        with self._lock:
            return np.ascontiguousarray(self._product(_whole(a), _whole(b, rows=True))[:, : b.shape[1]])

    def _product(self, a: Floats, b: Floats) -> Floats:
        """Cut in half where a buffer cannot hold it: columns of B and rows of A are products of their own."""
        (m, k), n = a.shape, b.shape[1]
        assert self.largest is not None
        if k * QUAD > self.largest:
            raise ValueError(f"sums of {k} products do not fit the adapter's buffers of {self.largest} numbers")
        if n > QUAD and (k * n > self.largest or (m * n > self.largest and n >= m)):
            cut = max(1, n // QUAD // 2) * QUAD
            return np.concatenate([self._product(a, b[:, :cut]), self._product(a, b[:, cut:])], axis=1)
        if m > 1 and max(m * k, m * n) > self.largest:
            return np.concatenate([self._product(half, b) for half in np.array_split(a, 2)])
        return self._dispatch(np.ascontiguousarray(a), np.ascontiguousarray(b))

    def _dispatch(self, a: Floats, b: Floats) -> Floats:
        (m, k), n = a.shape, b.shape[1]
        work = self._works.get((m, n, k))
        if work is None:
            work = self._works[m, n, k] = self._prepare(m, n, k)
        device = self.adapter.device
        for buffer, values in zip(work.inputs, (a, b), strict=True):
            device.queue.write_buffer(buffer, 0, values)
        encoder = device.create_command_encoder()
        turn = encoder.begin_compute_pass()
        turn.set_pipeline(work.pipeline)
        turn.set_bind_group(0, work.bound)
        turn.dispatch_workgroups(*work.groups)
        turn.end()
        encoder.copy_buffer_to_buffer(work.result, 0, work.staging, 0, _SIZE * m * n)
        device.queue.submit([encoder.finish()])
        self.dispatches += 1
        work.staging.map_sync("READ")
        try:
            raw = work.staging.read_mapped(copy=True)
        finally:
            work.staging.unmap()
        return np.frombuffer(raw, np.float32).reshape(m, n)

    def _prepare(self, m: int, n: int, k: int) -> _Work:
        import wgpu

        device, usage, tile = self.adapter.device, wgpu.BufferUsage, tile_for(m, n)
        pipeline = self._pipelines.get(tile)
        if pipeline is None:
            module = device.create_shader_module(code=product_shader(tile))
            pipeline = device.create_compute_pipeline(layout="auto", compute={"module": module, "entry_point": "main"})
            self._pipelines[tile] = pipeline
        shape = device.create_buffer_with_data(data=struct.pack("<3I", m, n // QUAD, k // QUAD), usage=usage.STORAGE)
        inputs = tuple(
            device.create_buffer(size=_SIZE * size, usage=usage.STORAGE | usage.COPY_DST) for size in (m * k, k * n)
        )
        result = device.create_buffer(size=_SIZE * m * n, usage=usage.STORAGE | usage.COPY_SRC)
        staging = device.create_buffer(size=_SIZE * m * n, usage=usage.COPY_DST | usage.MAP_READ)
        bound = device.create_bind_group(
            layout=pipeline.get_bind_group_layout(0),
            entries=[{"binding": i, "resource": {"buffer": one}} for i, one in enumerate((shape, *inputs, result))],
        )
        return _Work(pipeline, bound, (inputs[0], inputs[1]), result, staging, tile.groups(m, n))


def _whole(matrix: Floats, *, rows: bool = False) -> Floats:
    """With zeros up to whole quads of columns, and of rows where these are added up too."""
    spare = (-matrix.shape[0] % QUAD if rows else 0, -matrix.shape[1] % QUAD)
    return np.pad(matrix, ((0, spare[0]), (0, spare[1]))) if any(spare) else matrix
