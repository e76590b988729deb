"""Models of a few hundred weights, made from a few integers: the same bytes for the same integers, anywhere.

Qwen2 in the Hugging Face layout with a byte-level BPE tokenizer over the small letters, so that a case takes the
program milliseconds and a reproducer can carry its models in a page of text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.proof.differ.operation import Axis

__all__ = ["DTYPES", "MARKS", "MERGES", "SHAPE_AXES", "WIDE_AXES", "TinyModel", "shape_of"]

Array = NDArray[np.float32]

MARKS: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGES: Final = (("a", "b"), ("c", "d"), ("ab", "cd"), ("e", "r"), ("Ġ", "t"), ("Ġt", "h"))
_LETTERS: Final = (*"abcdefghijklmnopqrstuvwxyz", "Ġ", "Ċ")
_SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Qwen2's own, from the configuration of its tokenizer, so that a GGUF file may call it `qwen2`."""
DTYPES: Final = ("F32", "F16", "BF16")
_NUMPY: Final[Mapping[str, Any]] = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
_HEADS: Final = ((1, 1), (2, 1), (2, 2), (4, 2), (4, 1), (3, 1))

SHAPE_AXES: Final = (
    Axis("seed", tuple(range(1, 9))),
    Axis("layers", (1, 2, 3)),
    Axis("heads", _HEADS),
    Axis("head_dim", (4, 2, 8, 16)),
    Axis("inner", (8, 4, 12, 32)),
    Axis("tied", (False, True)),
)
"""What most operations vary about a model."""
WIDE_AXES: Final = (
    Axis("seed", tuple(range(1, 41))),
    Axis("layers", (1, 2)),
    Axis("heads", ((1, 1), (2, 1), (2, 2))),
    Axis("head_dim", (32, 16, 64)),
    Axis("inner", (32, 16, 48, 64)),
    Axis("tied", (False, True)),
)
"""For what is done only to matrices of some size: a program may leave small ones as they are."""


@dataclass(frozen=True)
class TinyModel:
    """One such model. Weights are normal, of variance 1 / fan-in; norms about 1; `scale` multiplies matrices.

    `coarse` rounds what is drawn to eight bits, so that a file of it packs well.
    """

    seed: int = 1
    layers: int = 1
    heads: int = 1
    kv_heads: int = 1
    head_dim: int = 4
    inner: int = 8
    tied: bool = False
    dtype: str = "F32"
    theta: float = 10000.0
    eps: float = 1e-6
    n_merges: int = len(MERGES)
    scale: float = 1.0
    coarse: bool = False

    @property
    def width(self) -> int:
        """Of the residual stream."""
        return self.heads * self.head_dim

    @property
    def tokens(self) -> list[str]:
        """The vocabulary, special tokens last."""
        return [*_LETTERS, *(a + b for a, b in MERGES[: self.n_merges]), *MARKS]

    @property
    def n_values(self) -> int:
        """How many weights it has."""
        return sum(array.size for array in self.tensors.values())

    @cached_property
    def config(self) -> dict[str, Any]:
        """config.json."""
        vocab = len(self.tokens)
        names = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
        return {
            "architectures": ["Qwen2ForCausalLM"],
            "model_type": "qwen2",
            "vocab_size": vocab,
            "hidden_size": self.width,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": 128,
            "rms_norm_eps": self.eps,
            "rope_theta": self.theta,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied,
            "torch_dtype": names[self.dtype],
            "bos_token_id": vocab - 3,
            "eos_token_id": vocab - 1,
        }

    @cached_property
    def tensors(self) -> dict[str, Array]:
        """Every weight as a reader of the file gets it: float32 after rounding to `dtype`."""
        rng = np.random.default_rng(self.seed)
        return {name: self._draw(rng, name, shape) for name, shape in self._shapes().items()}

    def tuned(self, seed: int, by: float = 0.3) -> TinyModel:
        """A model near this one: each weight moved by a normal share of itself, or of 0.01 where it is small."""
        return _Tuned(**_plain(self), base=self, move=seed, by=by)

    def write(self, folder: Path) -> Path:
        """Write config.json, tokenizer.json and model.safetensors; returns the last, relative to `folder`'s parent."""
        from safetensors.numpy import save_file  # an extra

        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps(self.config, indent=1), encoding="utf-8")
        (folder / "tokenizer.json").write_text(json.dumps(self.tokenizer(), ensure_ascii=False), encoding="utf-8")
        stored = {name: array.astype(_NUMPY[self.dtype]) for name, array in self.tensors.items()}
        save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
        return Path(folder.name) / "model.safetensors"

    def tokenizer(self) -> dict[str, Any]:
        """tokenizer.json."""
        plain = [token for token in self.tokens if token not in MARKS]
        added = [
            {"id": len(plain) + i, "content": mark, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for i, mark in enumerate(MARKS)
        ]  # fmt: skip
        level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
        split = {"type": "Split", "pattern": {"Regex": _SPLIT}, "behavior": "Isolated", "invert": False}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
            "post_processor": None,
            "decoder": level,
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                "vocab": {token: i for i, token in enumerate(plain)},
                "merges": [" ".join(pair) for pair in MERGES[: self.n_merges]],
            },
        }

    def encode(self, text: str) -> list[int]:
        """Token ids by the tokenizers library."""
        from tokenizers import Tokenizer

        ids: list[int] = Tokenizer.from_str(json.dumps(self.tokenizer())).encode(text, add_special_tokens=False).ids
        return ids

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        width, narrow = self.width, self.kv_heads * self.head_dim
        shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (len(self.tokens), width)}
        for layer in range(self.layers):
            stem = f"model.layers.{layer}."
            for part, n_out in (("q", width), ("k", narrow), ("v", narrow)):
                shapes[f"{stem}self_attn.{part}_proj.weight"] = (n_out, width)
                shapes[f"{stem}self_attn.{part}_proj.bias"] = (n_out,)
            shapes[f"{stem}self_attn.o_proj.weight"] = (width, width)
            shapes[f"{stem}mlp.gate_proj.weight"] = shapes[f"{stem}mlp.up_proj.weight"] = (self.inner, width)
            shapes[f"{stem}mlp.down_proj.weight"] = (width, self.inner)
            shapes[f"{stem}input_layernorm.weight"] = shapes[f"{stem}post_attention_layernorm.weight"] = (width,)
        shapes["model.norm.weight"] = (width,)
        if not self.tied:
            shapes["lm_head.weight"] = (len(self.tokens), width)
        return shapes

    def _draw(self, rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> Array:
        noise = rng.standard_normal(shape)
        if "norm" in name:
            noise = 1 + 0.05 * noise
        elif len(shape) == 2:
            noise = self.scale * noise / np.sqrt(shape[1])
        else:
            noise = 0.1 * noise
        drawn = noise.astype(ml_dtypes.bfloat16).astype(np.float32) if self.coarse else noise
        return np.asarray(drawn.astype(_NUMPY[self.dtype]), np.float32)


@dataclass(frozen=True)
class _Tuned(TinyModel):
    base: TinyModel = TinyModel()
    move: int = 0
    by: float = 0.3

    @cached_property
    def tensors(self) -> dict[str, Array]:
        rng = np.random.default_rng([self.base.seed, 1000 + self.move])
        moved = {}
        for name, array in self.base.tensors.items():
            step = self.by * rng.standard_normal(array.shape) * np.maximum(np.abs(array), 0.01)
            moved[name] = np.asarray((array + step).astype(_NUMPY[self.dtype]), np.float32)
        return moved


def shape_of(values: Mapping[str, Any], **more: Any) -> TinyModel:
    """The model that a case's values of `SHAPE_AXES` describe; `more` are further fields."""
    heads, kv_heads = values["heads"]
    named = {key: values[key] for key in ("seed", "layers", "head_dim", "inner", "tied") if key in values}
    return replace(TinyModel(), heads=heads, kv_heads=kv_heads, **(named | more))


def _plain(model: TinyModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in TinyModel.__dataclass_fields__}
