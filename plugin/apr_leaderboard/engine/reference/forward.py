"""The forward pass of Llama-shaped decoders as pure functions of a parameter tree.

Activations are kept features first, `[features, columns]`: one column is one token. Weights keep the `[out, in]` form
they have on disk, so a layer is `weight @ x`, which on a CPU is the fast order for few columns and lets one column's
result not depend on which other columns are beside it (the decoder relies on that; a test holds it).

Parameter tree (all float32 unless the caller casts it)::

    {"embed": [V, D], "final_norm": [D], "lm_head": {"weight": [V, D]},   # no lm_head when embeddings are tied
     "layers": [{"attn_norm": [D], "mlp_norm": [D],
                 "q_proj": {"weight": [H*d, D], "bias": [H*d]}, "k_proj": ..., "v_proj": ...,
                 "o_proj": {"weight": [D, H*d]},
                 "gate_proj": {"weight": [F, D]}, "up_proj": ..., "down_proj": {"weight": [D, F]}}, ...]}

`fuse_layer` joins q, k, v and gate, up into one matrix each; every function here takes either form.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.products import product

__all__ = [
    "Attend",
    "Layer",
    "Params",
    "apply_rope",
    "block",
    "causal_attention",
    "embed",
    "forward",
    "fuse_layer",
    "linear",
    "rms_norm",
    "rope_tables",
    "unembed",
]

Layer = dict[str, Any]
Params = dict[str, Any]
Attend = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""(q [H, d, C], k [Hkv, d, C], v [Hkv, d, C]) -> [H, d, C]; q and k are already rotated."""


def forward(config: ModelConfig, params: Params, tokens: jax.Array) -> jax.Array:
    """Logits of every position: tokens int32 [B, T] -> float32 [B, T, V], causal within each row.

    Rows that are padded on the right need no mask: a position only sees those before it.
    """
    batch, length = tokens.shape
    positions = jnp.tile(jnp.arange(length, dtype=jnp.int32), batch)
    tables = rope_tables(config, positions)
    x = embed(params, tokens.reshape(-1))
    for layer in params["layers"]:
        x = block(config, layer, x, tables, lambda q, k, v: causal_attention(q, k, v, batch))
    return unembed(config, params, x).T.reshape(batch, length, -1)


def block(
    config: ModelConfig, layer: Layer, x: jax.Array, tables: tuple[jax.Array, jax.Array], attend: Attend
) -> jax.Array:
    """One decoder layer over columns x [D, C]; `attend` decides what each column sees."""
    h = rms_norm(x, layer["attn_norm"], config.norm_eps)
    q, k, v = _qkv(config, layer, h)
    mixed = attend(apply_rope(q, tables), apply_rope(k, tables), v)
    x = x + linear(layer["o_proj"], mixed.reshape(-1, x.shape[1]))
    h = rms_norm(x, layer["mlp_norm"], config.norm_eps)
    if "gate_up" in layer:
        gate, up = jnp.split(linear(layer["gate_up"], h), 2, axis=0)
    else:
        gate, up = linear(layer["gate_proj"], h), linear(layer["up_proj"], h)
    return x + linear(layer["down_proj"], jax.nn.silu(gate) * up)


def embed(params: Params, tokens: jax.Array) -> jax.Array:
    """Token ids [C] -> columns [D, C]."""
    table: jax.Array = params["embed"]
    return table[tokens].T


def unembed(config: ModelConfig, params: Params, x: jax.Array) -> jax.Array:
    """Columns [D, C] -> logits [V, C]; uses the embedding where the output layer is tied to it."""
    h = rms_norm(x, params["final_norm"], config.norm_eps)
    if "lm_head" in params:
        return linear(params["lm_head"], h)
    return product(params["embed"], h)


def linear(weights: dict[str, jax.Array], x: jax.Array) -> jax.Array:
    """weight [out, in] @ x [in, C] (+ bias), and lora_b [out, r] @ lora_a [r, in] @ x beside it while training."""
    y = product(weights["weight"], x)
    if "lora_a" in weights:
        y = y + product(weights["lora_b"], product(weights["lora_a"], x))
    return y + weights["bias"][:, None] if "bias" in weights else y


def rms_norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    """Root-mean-square norm of each column (Zhang & Sennrich 2019, equation 4)."""
    scale = jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=0, keepdims=True) + eps)
    return x * scale * weight[:, None]


def rope_tables(config: ModelConfig, positions: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines [d/2, C] of the rotary angles at integer positions [C] (Su et al. 2021, section 3.2.2)."""
    half = jnp.arange(0, config.head_dim, 2, dtype=jnp.float32) / config.head_dim
    frequencies = 1.0 / (config.rope_theta**half)
    angles = frequencies[:, None] * positions.astype(jnp.float32)[None, :]
    return jnp.cos(angles), jnp.sin(angles)


def apply_rope(x: jax.Array, tables: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Rotate x [heads, d, C]; a pair is (i, i + d/2), the order of the Hugging Face layout."""
    cos, sin = tables
    first, second = jnp.split(x, 2, axis=1)
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=1)


def causal_attention(q: jax.Array, k: jax.Array, v: jax.Array, batch: int) -> jax.Array:
    """Full causal attention over `batch` rows of equal length laid side by side in the columns."""
    heads, dim, columns = q.shape
    kv_heads, length = k.shape[0], columns // batch
    q = q.reshape(kv_heads, heads // kv_heads, dim, batch, length)
    k = k.reshape(kv_heads, dim, batch, length)
    v = v.reshape(kv_heads, dim, batch, length)
    scores = jnp.einsum("ngdbt,ndbs->bngts", q, k) * (dim**-0.5)
    seen = jnp.tril(jnp.ones((length, length), dtype=bool))
    weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
    return jnp.einsum("bngts,ndbs->ngdbt", weights, v).reshape(heads, dim, columns)


def fuse_layer(layer: Layer) -> Layer:
    """The same layer with q, k, v joined as `qkv` and gate, up as `gate_up`: fewer, larger products."""
    kept = {k: v for k, v in layer.items() if k not in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")}
    qkv = _join(layer["q_proj"], layer["k_proj"], layer["v_proj"])
    return {**kept, "qkv": qkv, "gate_up": _join(layer["gate_proj"], layer["up_proj"])}


def _join(*parts: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {name: jnp.concatenate([part[name] for part in parts], axis=0) for name in parts[0]}


def _qkv(config: ModelConfig, layer: Layer, h: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    dim, columns = config.head_dim, h.shape[1]
    if "qkv" in layer:
        ends = (config.n_heads * dim, (config.n_heads + config.n_kv_heads) * dim)
        q, k, v = jnp.split(linear(layer["qkv"], h), ends, axis=0)
    else:
        q, k, v = (linear(layer[name], h) for name in ("q_proj", "k_proj", "v_proj"))
    return q.reshape(-1, dim, columns), k.reshape(-1, dim, columns), v.reshape(-1, dim, columns)
