"""Activations of a model on calibration text, one layer at a time.

A layer's weights are read, used and dropped, so memory holds one layer and the residual stream of the calibration
tokens. What is measured at each of a layer's four inputs (to q, k, v; to o; to gate and up; to down) is the sum of
squares of every feature, or the whole Gram matrix X X^T.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from apr_leaderboard.engine.reference.calibration_text import CALIBRATION_TEXT
from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.forward import Layer, apply_rope, causal_attention, linear, rms_norm, rope_tables
from apr_leaderboard.engine.reference.layout import HF_LAYER_NAMES, tensor_shapes
from apr_leaderboard.engine.reference.tensors import Array, HfFolder
from apr_leaderboard.engine.reference.tokenizer import TextCodec
from apr_leaderboard.errors import FileFormatError

__all__ = ["INPUT_OF", "Stream", "calibration_windows", "read_layer"]

INPUT_OF: Final = {
    "q_proj": "attention",
    "k_proj": "attention",
    "v_proj": "attention",
    "o_proj": "mixed",
    "gate_proj": "mlp",
    "up_proj": "mlp",
    "down_proj": "neurons",
}
"""Which of a layer's inputs each matrix reads."""
_WINDOWS_AT_ONCE: Final = 4
_TEXT_KEYS: Final = ("text", "instruction", "prompt", "response", "completion", "canonical_solution", "code", "chosen")


class Measured(NamedTuple):
    """Of one layer over all calibration tokens: by input name a sum of squares [F] or a Gram matrix [F, F], and the
    mean cosine between a token's residual before and after the layer."""

    inputs: dict[str, Array]
    cosine: float


class Stream:
    """The residual stream of every calibration window, at one depth of the model."""

    def __init__(self, config: ModelConfig, embedding: Array, windows: np.ndarray[Any, np.dtype[np.int32]]) -> None:
        self._config = config
        self._window = windows.shape[1]
        groups = [windows[i : i + _WINDOWS_AT_ONCE] for i in range(0, len(windows), _WINDOWS_AT_ONCE)]
        self._x = [jnp.asarray(embedding[group.reshape(-1)].T) for group in groups]
        self.n_tokens = int(windows.size)

    def measure(self, layer: Layer, *, grams: bool = False) -> Measured:
        """Send the stream through a layer without moving it on; say what its inputs were."""
        totals: dict[str, jax.Array] = {}
        cosines = 0.0
        for x in self._x:
            seen, cosine = _measure(self._config, self._window, grams, layer, x)
            totals = {k: totals[k] + v for k, v in seen.items()} if totals else seen
            cosines += float(cosine)
        return Measured({k: np.asarray(v) for k, v in totals.items()}, cosines / self.n_tokens)

    def advance(self, layer: Layer) -> None:
        """Replace the stream by what the layer makes of it."""
        for i, x in enumerate(self._x):
            self._x[i] = _through(self._config, self._window, layer, x)


def read_layer(folder: HfFolder, config: ModelConfig, index: int) -> Layer:
    """One layer's parameters as `forward.block` takes them, NumPy float32."""
    shapes = dict(tensor_shapes(config))
    layer: Layer = {}
    for ours, theirs in HF_LAYER_NAMES.items():
        name = f"model.layers.{index}.{theirs}"
        if name in shapes:
            layer[ours] = folder.read(name)
            continue
        kinds = [kind for kind in ("weight", "bias") if f"{name}.{kind}" in shapes]
        layer[ours] = {kind: folder.read(f"{name}.{kind}") for kind in kinds}
    return layer


def calibration_windows(
    file: Path | None, codec: TextCodec, window: int, n_tokens: int
) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Token ids [windows, window], spread evenly over the text; `file` is text, or JSONL whose texts are joined.

    None stands for the text this engine brings along. Raises FileFormatError for a text shorter than one window.
    """
    text = CALIBRATION_TEXT if file is None else "\n\n".join(_texts(file))
    ids = np.asarray(codec.encode(text), np.int32)
    if file is None:
        window = min(window, ids.size)
    if ids.size < window or window < 2:
        assert file is not None
        raise FileFormatError(file, "", f"got {ids.size} tokens", allowed=f"at least one window of {window}")
    count = max(1, min(n_tokens, ids.size) // window)
    starts = np.linspace(0, ids.size - window, count).astype(np.int64)
    return np.stack([ids[start : start + window] for start in starts])


def _texts(file: Path) -> Iterator[str]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(file, "", f"cannot be read: {error}", allowed="text or JSONL in UTF-8") from None
    if file.suffix != ".jsonl":
        yield text
        return
    # Not splitlines: JSON strings may hold the other line ends that it splits at.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            parts = [row[key] for key in _TEXT_KEYS if isinstance(row.get(key), str)]
        except (ValueError, AttributeError) as error:
            raise FileFormatError(file, "", f"not a JSON object: {error}", line=number) from None
        if not parts:
            raise FileFormatError(file, "", "no text in it", allowed=" or ".join(_TEXT_KEYS), line=number)
        yield "\n".join(parts)


def _taps(config: ModelConfig, window: int, layer: Layer, x: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
    """`forward.block` with its four inputs laid open: name -> [features, columns], and the block's output."""
    columns = x.shape[1]
    tables = rope_tables(config, jnp.tile(jnp.arange(window, dtype=jnp.int32), columns // window))
    attention = rms_norm(x, layer["attn_norm"], config.norm_eps)
    q, k, v = (
        linear(layer[name], attention).reshape(-1, config.head_dim, columns) for name in ("q_proj", "k_proj", "v_proj")
    )
    mixed = causal_attention(apply_rope(q, tables), apply_rope(k, tables), v, columns // window).reshape(-1, columns)
    middle = x + linear(layer["o_proj"], mixed)
    mlp = rms_norm(middle, layer["mlp_norm"], config.norm_eps)
    neurons = jax.nn.silu(linear(layer["gate_proj"], mlp)) * linear(layer["up_proj"], mlp)
    out = middle + linear(layer["down_proj"], neurons)
    return {"attention": attention, "mixed": mixed, "mlp": mlp, "neurons": neurons}, out


@partial(jax.jit, static_argnums=(0, 1, 2))
def _measure(
    config: ModelConfig, window: int, grams: bool, layer: Layer, x: jax.Array
) -> tuple[dict[str, jax.Array], jax.Array]:
    taps, out = _taps(config, window, layer, x)
    seen = {name: h @ h.T if grams else jnp.sum(jnp.square(h), axis=1) for name, h in taps.items()}
    lengths = jnp.linalg.norm(x, axis=0) * jnp.linalg.norm(out, axis=0)
    return seen, jnp.sum(jnp.sum(x * out, axis=0) / jnp.maximum(lengths, 1e-12))


@partial(jax.jit, static_argnums=(0, 1))
def _through(config: ModelConfig, window: int, layer: Layer, x: jax.Array) -> jax.Array:
    return _taps(config, window, layer, x)[1]
