"""`apr import`: from SafeTensors, from GGUF, and into fewer bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.proof.differ.claims import inside, says, tensors, whole
from apr_leaderboard.proof.differ.operation import Axis, Claim, Operation, Trial
from apr_leaderboard.proof.differ.ops.bounds import rounding_bounds, split_by_kind
from apr_leaderboard.proof.differ.tiny import DTYPES, SHAPE_AXES, WIDE_AXES, TinyModel, shape_of

__all__ = ["IMPORTS", "configuration", "tokenizer"]

_KEYS: Final[Mapping[str, str]] = {
    "hidden_size": "hidden_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
    "max_position_embeddings": "max_position_embeddings",
    "rope_theta": "rope_theta",
    "rms_norm_eps": "rms_norm_eps",
}
"""Key of a .apr file's metadata: key of config.json."""
_HEAD: Final = ("lm_head.weight",)


def configuration(file: str, model: TinyModel) -> list[Claim]:
    """A .apr file's metadata says what config.json said; one name, since one cause loses them together."""
    return [says("configuration kept", file, [key], model.config[own], 1e-6) for key, own in _KEYS.items()]


def tokenizer(file: str, model: TinyModel) -> list[Claim]:
    """A .apr file holds the tokenizer: vocabulary, merges, the tokens that begin and end a text."""
    merges = [" ".join(pair) for pair in _merges(model)]
    return [
        says("tokenizer kept", file, ["tokenizer.vocabulary"], model.tokens),
        says("tokenizer kept", file, ["tokenizer.merges"], merges),
        says("tokenizer kept", file, ["tokenizer.eos_token_id"], model.config["eos_token_id"]),
    ]


def _merges(model: TinyModel) -> list[tuple[str, str]]:
    merges: list[str] = model.tokenizer()["model"]["merges"]
    return [(left, right) for left, right in (merge.split(" ") for merge in merges)]


def _import(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, dtype=values["dtype"], theta=values["theta"], eps=values["eps"])
    source = model.write(folder / "m")
    # A tied model's output matrix is its embedding; writing it a second time changes nothing.
    claims = [
        inside("m.apr", "apr"),
        whole("m.apr"),
        tensors("weights kept", "m.apr", model.tensors, only=True, may=_HEAD if model.tied else ()),
        says("parameters counted" + ", tied" * model.tied, "m.apr", ["param_count"], model.n_values),
    ]
    claims += [*configuration("m.apr", model), *tokenizer("m.apr", model)]
    return Trial((("import", str(source), "-o", "m.apr"),), tuple(claims))


def _import_fewer_bits(values: Mapping[str, Any], folder: Path) -> Trial:
    model, scheme = shape_of(values, scale=values["scale"], coarse=True), values["scheme"]
    source = model.write(folder / "m")
    matrices, vectors = split_by_kind(model.tensors)
    claims = [
        inside("m.apr", "apr"),
        whole("m.apr"),
        tensors("matrices rounded", "m.apr", matrices, within=rounding_bounds(matrices, scheme)),
        tensors("norms and biases kept", "m.apr", vectors, within=rounding_bounds(vectors, "fp16")),
        *configuration("m.apr", model),
        *tokenizer("m.apr", model),
    ]
    return Trial((("import", str(source), "--quantize", scheme, "-o", "m.apr"),), tuple(claims))


def _import_gguf(values: Mapping[str, Any], folder: Path) -> Trial:
    from apr_leaderboard.engine.reference.gguf_write import write_gguf
    from apr_leaderboard.engine.reference.tensors import HfFolder

    model, scheme = shape_of(values, theta=values["theta"]), values["scheme"]
    model.write(folder / "m")
    write_gguf(HfFolder(folder / "m"), folder / "m.gguf", scheme, "{}")
    bounds = dict.fromkeys(model.tensors, 0.0)
    if scheme == "f16":
        matrices, _ = split_by_kind(model.tensors)
        bounds |= {name: float(np.abs(array).max()) * 2**-11 for name, array in matrices.items()}
    claims = [
        inside("m.apr", "apr"),
        whole("m.apr"),
        tensors("weights kept", "m.apr", model.tensors, within=bounds, only=True, may=_HEAD if model.tied else ()),
        *configuration("m.apr", model),
        *tokenizer("m.apr", model),
    ]
    return Trial((("import", "m.gguf", "-o", "m.apr"),), tuple(claims))


IMPORTS: Final = (
    Operation(
        "import-safetensors",
        "the file's own tensors, config.json and tokenizer.json",
        (*SHAPE_AXES, Axis("dtype", DTYPES), Axis("theta", (10000.0, 500.0, 1e6)), Axis("eps", (1e-6, 1e-5, 1e-3))),
        _import,
    ),
    Operation(
        "import-quantize",
        "the weights, within a step of the scheme's coarsest scale (one for each tensor); norms and biases as floats",
        (*WIDE_AXES, Axis("scheme", ("fp16", "int8", "int4")), Axis("scale", (1.0, 0.01, 50.0))),
        _import_fewer_bits,
    ),
    Operation(
        "import-gguf",
        "the tensors that the reference engine wrote into the GGUF file, under their Hugging Face names",
        (*SHAPE_AXES, Axis("scheme", ("f32", "f16")), Axis("theta", (10000.0, 500.0, 1e6))),
        _import_gguf,
    ),
)
