"""The key-value cache and the attention over it, so that an answer does not depend on what is decoded beside it.

Three disciplines make a slot's numbers a function of its own tokens alone, bit for bit:

- every product has a fixed number of columns (`WIDTH` when decoding, a chunk size when reading a prompt), because a
  matrix library chooses the order of its sums by the shape;
- the cache is read in blocks of `BLOCK` positions with a running softmax (Milakov & Gimelshein 2018, algorithm 3), in
  which a block that is wholly masked multiplies by one and adds zero: how far the longest neighbour reaches changes
  nothing;
- a prompt is read alone, in chunks cut by its own length, and then copied into a slot.

A cache is one `(keys, values)` pair a layer, keys [blocks, slots, kv heads, head dim, BLOCK] and values [blocks, slots,
kv heads, BLOCK, head dim], each in the order its product reads fastest. It is updated in place: the jitted functions
here take the arrays over (donation), so a caller must not use the old ones again.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import jax
import jax.numpy as jnp

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.forward import Layer, block, rope_tables

__all__ = [
    "BLOCK",
    "WIDTH",
    "Cache",
    "attend_blocks",
    "decode_layer",
    "empty_cache",
    "grow",
    "insert_slot",
    "prefill_layer",
]

BLOCK: Final = 128
WIDTH: Final = 32

Cache = list[tuple[jax.Array, jax.Array]]


def empty_cache(config: ModelConfig, slots: int, length: int) -> Cache:
    """Room for `length` positions (rounded up to whole blocks) in each of `slots`."""
    lead = (-(-length // BLOCK), slots, config.n_kv_heads)
    shapes = (*lead, config.head_dim, BLOCK), (*lead, BLOCK, config.head_dim)
    return [(jnp.zeros(shapes[0], jnp.float32), jnp.zeros(shapes[1], jnp.float32)) for _ in range(config.n_layers)]


@partial(jax.jit, static_argnums=0, donate_argnums=(3, 4))
def decode_layer(
    config: ModelConfig,
    layer: Layer,
    x: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    places: tuple[jax.Array, jax.Array | None],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One layer for one token a column: x [D, columns] -> x and the updated cache.

    `places` are the columns' positions [columns], and which slot each belongs to [columns]; None: each to its own. Of
    columns of one slot each sees those before it, since all are written before any is read. No two may be the same.
    """
    positions, owners = places
    columns = positions.shape[0]
    written = jnp.arange(columns) if owners is None else owners
    n_blocks = jnp.max(positions) // BLOCK + 1
    place, inside, every = positions // BLOCK, positions % BLOCK, slice(None)
    updated: list[jax.Array] = []

    def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        new_keys = keys.at[place, written, every, every, inside].set(k.transpose(2, 0, 1))
        new_values = values.at[place, written, every, inside].set(v.transpose(2, 0, 1))
        updated.extend((new_keys, new_values))
        rows = q.transpose(2, 0, 1).reshape(columns, config.n_kv_heads, config.group_size, config.head_dim)
        seen = jnp.broadcast_to(positions[:, None], (columns, config.group_size))
        mixed = attend_blocks(rows, new_keys, new_values, seen, n_blocks, owners)
        return mixed.reshape(columns, config.n_heads, config.head_dim).transpose(1, 2, 0)

    x = block(config, layer, x, rope_tables(config, positions), attend)
    return x, updated[0], updated[1]


@partial(jax.jit, static_argnums=0, donate_argnums=(3, 4))
def prefill_layer(
    config: ModelConfig, layer: Layer, x: jax.Array, keys: jax.Array, values: jax.Array, start: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One layer for a chunk of one prompt: x [D, C] at positions start.. -> x and the updated one-slot cache.

    A chunk must lie inside one block.
    """
    columns = x.shape[1]
    positions = start + jnp.arange(columns, dtype=jnp.int32)
    place, inside = start // BLOCK, start % BLOCK
    updated: list[jax.Array] = []

    def attend(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        new_keys = jax.lax.dynamic_update_slice(keys, k[None, None], (place, 0, 0, 0, inside))
        value_rows = v.transpose(0, 2, 1)[None, None]
        new_values = jax.lax.dynamic_update_slice(values, value_rows, (place, 0, 0, inside, 0))
        updated.extend((new_keys, new_values))
        grouped = q.reshape(config.n_kv_heads, config.group_size, config.head_dim, columns).transpose(0, 1, 3, 2)
        rows = grouped.reshape(1, config.n_kv_heads, config.group_size * columns, config.head_dim)
        seen = jnp.tile(positions, config.group_size)[None]
        mixed = attend_blocks(rows, new_keys, new_values, seen, place + 1)
        mixed = mixed.reshape(config.n_kv_heads, config.group_size, columns, config.head_dim).transpose(0, 1, 3, 2)
        return mixed.reshape(config.n_heads, config.head_dim, columns)

    x = block(config, layer, x, rope_tables(config, positions), attend)
    return x, updated[0], updated[1]


def grow(cache: Cache, blocks: int) -> Cache:
    """The same cache with room for `blocks` blocks, the new ones zero. The old one is given up layer by layer."""

    def widened(array: jax.Array) -> jax.Array:
        return jnp.concatenate([array, jnp.zeros((blocks - array.shape[0], *array.shape[1:]), array.dtype)])

    for i, (keys, values) in enumerate(cache):
        cache[i] = (widened(keys), widened(values))
    return cache


@partial(jax.jit, donate_argnums=0)
def insert_slot(cache: Cache, one: Cache, slot: jax.Array) -> Cache:
    """Copy a one-slot cache into a slot; it may have fewer blocks, and what lies behind them is never looked at."""
    corner = (0, slot, 0, 0, 0)
    return [
        (jax.lax.dynamic_update_slice(keys, k, corner), jax.lax.dynamic_update_slice(values, v, corner))
        for (keys, values), (k, v) in zip(cache, one, strict=True)
    ]


def attend_blocks(
    q: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    seen: jax.Array,
    n_blocks: jax.Array,
    owners: jax.Array | None = None,
) -> jax.Array:
    """Attention of q [B, Hkv, R, d] over the first `n_blocks` blocks; row r of b sees positions 0..seen[b, r].

    b looks into slot b of the cache, or where `owners` [B] is given into slot owners[b]. A slot's block is then copied
    for each that looks into it, so that the products keep their shapes, and with them the order of their sums.
    """
    scaled = q * (q.shape[-1] ** -0.5)
    offsets = jnp.arange(BLOCK, dtype=jnp.int32)

    def step(i: jax.Array, carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        peak, total, mixed = carry
        k = jax.lax.dynamic_index_in_dim(keys, i, 0, keepdims=False)
        v = jax.lax.dynamic_index_in_dim(values, i, 0, keepdims=False)
        if owners is not None:
            k, v = k[owners], v[owners]
        scores = jnp.einsum("bhrd,bhds->bhrs", scaled, k)
        visible = (i * BLOCK + offsets)[None, None, :] <= seen[:, :, None]
        scores = jnp.where(visible[:, None], scores, -jnp.inf)
        new_peak = jnp.maximum(peak, scores.max(axis=-1))
        keep = jnp.exp(peak - new_peak)
        weights = jnp.exp(scores - new_peak[..., None])
        total = total * keep + weights.sum(axis=-1)
        mixed = mixed * keep[..., None] + jnp.einsum("bhrs,bhsd->bhrd", weights, v)
        return new_peak, total, mixed

    # Every row sees position 0, so after the first block the peak is a real score and no infinity is left.
    start = (jnp.full(q.shape[:-1], -1e30, q.dtype), jnp.zeros(q.shape[:-1], q.dtype), jnp.zeros_like(q))
    _, total, mixed = jax.lax.fori_loop(0, n_blocks, step, start)
    result: jax.Array = mixed / total[..., None]
    return result
