"""The forward pass of Llama-shaped decoders in NumPy, one token at a time, greedily.

RMSNorm (Zhang & Sennrich 2019), rotary positions (Su et al. 2021) in halves, grouped queries (Ainslie et al. 2023),
SwiGLU (Shazeer 2020). Weights are [out, in]; everything is computed in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

__all__ = ["Decoder"]

Array = Any


class Decoder:
    """Reads tokens and gives logits. `get` gives a tensor by its Hugging Face name."""

    def __init__(self, shape: Mapping[str, Any], get: Callable[[str], Array]) -> None:
        self._shape, self._get = shape, get
        self._keys: list[list[Array]] = [[] for _ in range(shape["n_layers"])]
        self._values: list[list[Array]] = [[] for _ in range(shape["n_layers"])]
        self._n = 0
        half = np.arange(0, shape["head_dim"], 2, dtype=np.float32) / shape["head_dim"]
        self._frequencies = (1.0 / np.float32(shape["rope_theta"]) ** half).astype(np.float32)

    def read(self, token: int) -> Array:
        """Take one token in; the logits [vocab] of what comes next."""
        shape = self._shape
        x = self._get("model.embed_tokens.weight")[token].astype(np.float32)
        angles = self._frequencies * np.float32(self._n)
        turn = (np.cos(angles), np.sin(angles))
        for i in range(shape["n_layers"]):
            at = f"model.layers.{i}."
            h = self._norm(x, at + "input_layernorm.weight")
            x = x + self._linear(at + "self_attn.o_proj", self._attend(i, at, h, turn))
            h = self._norm(x, at + "post_attention_layernorm.weight")
            gate = self._linear(at + "mlp.gate_proj", h)
            x = x + self._linear(at + "mlp.down_proj", gate / (1 + np.exp(-gate)) * self._linear(at + "mlp.up_proj", h))
        self._n += 1
        head = "model.embed_tokens.weight" if shape["tie_embeddings"] else "lm_head.weight"
        return self._get(head) @ self._norm(x, "model.norm.weight")

    def _attend(self, layer: int, at: str, h: Array, turn: tuple[Array, Array]) -> Array:
        shape = self._shape
        q = self._linear(at + "self_attn.q_proj", h).reshape(shape["n_heads"], -1)
        k = self._linear(at + "self_attn.k_proj", h).reshape(shape["n_kv_heads"], -1)
        v = self._linear(at + "self_attn.v_proj", h).reshape(shape["n_kv_heads"], -1)
        self._keys[layer].append(_turned(k, turn))
        self._values[layer].append(v)
        keys, values = np.stack(self._keys[layer], 1), np.stack(self._values[layer], 1)  # [kv heads, tokens, d]
        q = _turned(q, turn).reshape(shape["n_kv_heads"], -1, shape["head_dim"])
        scores = q @ keys.transpose(0, 2, 1) / np.sqrt(np.float32(shape["head_dim"]))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        return (scores / scores.sum(-1, keepdims=True) @ values).reshape(-1)

    def _norm(self, x: Array, name: str) -> Array:
        scale = 1 / np.sqrt(np.mean(np.square(x)) + np.float32(self._shape["norm_eps"]))
        return x * scale * self._get(name)

    def _linear(self, name: str, x: Array) -> Array:
        y = self._get(name + ".weight") @ x
        biased = self._shape["qkv_bias"] and name.endswith(("q_proj", "k_proj", "v_proj"))
        return y + self._get(name + ".bias") if biased else y


def _turned(x: Array, turn: tuple[Array, Array]) -> Array:
    cos, sin = turn
    first, second = np.split(x, 2, axis=1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=1)
