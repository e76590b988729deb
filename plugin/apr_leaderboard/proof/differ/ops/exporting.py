"""`apr export` to SafeTensors and to GGUF, and the `apr shard` and `unshard` of a SafeTensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.engine.reference.layout import gguf_name
from apr_leaderboard.proof.differ.claims import inside, says, tensors
from apr_leaderboard.proof.differ.operation import Axis, Claim, Operation, Trial
from apr_leaderboard.proof.differ.tiny import DTYPES, SHAPE_AXES, TinyModel, shape_of

__all__ = ["EXPORTS"]

_CONFIG_KEYS: Final = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size",
    "vocab_size", "rope_theta", "rms_norm_eps", "tie_word_embeddings", "max_position_embeddings", "bos_token_id",
    "eos_token_id", "torch_dtype",
)  # fmt: skip
_GGUF_KEYS: Final[Mapping[str, str]] = {
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "feed_forward_length": "intermediate_size",
    "context_length": "max_position_embeddings",
    "rope.freq_base": "rope_theta",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_SIZES: Final = ("1KB", "2KB", "4KB", "1MB", "3000")


def _export_hf(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, dtype=values["dtype"], theta=values["theta"], eps=values["eps"])
    source = model.write(folder / "m")
    (folder / "hf").mkdir()
    (folder / "hf" / ".keep").touch()
    claims = [
        inside("hf/model.safetensors", "safetensors"),
        tensors("weights kept", "hf/model.safetensors", model.tensors, only=True, may=_may(model)),
        *(says("configuration kept", "hf/config.json", [key], model.config[key], 1e-6) for key in _CONFIG_KEYS),
        says("tokenizer kept", "hf/tokenizer.json", ["model", "vocab"], model.tokenizer()["model"]["vocab"]),
    ]
    out = ("export", "m.apr", "--format", "safetensors", "-o", "hf/model.safetensors")
    return Trial((("import", str(source), "-o", "m.apr"), out), tuple(claims))


def _export_gguf(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, dtype=values["dtype"], theta=values["theta"], eps=values["eps"])
    source = model.write(folder / "m")
    named = {gguf_name(name): array for name, array in model.tensors.items()}
    merges = model.tokenizer()["model"]["merges"]
    claims: list[Claim] = [
        inside("m.gguf", "gguf"),
        tensors("weights kept", "m.gguf", named, only=True, may=("output.weight",) if model.tied else ()),
        *(
            says("configuration kept", "m.gguf", [f"qwen2.{key}"], model.config[own], 1e-6)
            for key, own in _GGUF_KEYS.items()
        ),
        says("architecture named", "m.gguf", ["general.architecture"], "qwen2"),
        says("tokenizer kept", "m.gguf", ["tokenizer.ggml.tokens"], model.tokens),
        says("tokenizer kept", "m.gguf", ["tokenizer.ggml.merges"], merges),
        # Of GGUF's token types, 1 is a normal token and 3 a control token.
        says("token types kept", "m.gguf", ["tokenizer.ggml.token_type"], [1] * (len(model.tokens) - 3) + [3] * 3),
        says("tokenizer kept", "m.gguf", ["tokenizer.ggml.eos_token_id"], model.config["eos_token_id"]),
    ]
    out = ("export", "m.apr", "--format", "gguf", "-o", "m.gguf")
    return Trial((("import", str(source), "-o", "m.apr"), out), tuple(claims))


def _shard(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, dtype=values["dtype"])
    source = model.write(folder / "m")
    back = tensors("weights kept", "back.safetensors", model.tensors, only=True)
    return Trial(
        (
            ("shard", str(source), "--max-shard-size", values["size"], "-o", "shards"),
            ("unshard", "shards", "-o", "back.safetensors"),
        ),
        (inside("back.safetensors", "safetensors"), back),
    )


def _may(model: TinyModel) -> tuple[str, ...]:
    return ("lm_head.weight",) if model.tied else ()


_MORE: Final = (Axis("dtype", DTYPES), Axis("theta", (10000.0, 500.0, 1e6)), Axis("eps", (1e-6, 1e-5, 1e-3)))

EXPORTS: Final = (
    Operation(
        "export-hf",
        "the folder the model was imported from: its tensors, config.json and tokenizer.json",
        (*SHAPE_AXES, *_MORE),
        _export_hf,
    ),
    Operation(
        "export-gguf",
        "the model under the names and keys of the GGUF specification",
        (*SHAPE_AXES, *_MORE),
        _export_gguf,
    ),
    Operation(
        "shard-unshard",
        "what was cut into shards and joined again is what it was",
        (*SHAPE_AXES, Axis("dtype", DTYPES), Axis("size", _SIZES)),
        _shard,
    ),
)
