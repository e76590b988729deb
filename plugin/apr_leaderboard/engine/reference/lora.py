"""Low-rank adapters beside a frozen model: made, bound into the forward pass, saved, merged.

Hu et al. 2021, "LoRA", section 4.1: h = W x + (alpha / r) B A x, with A drawn from a normal distribution and B zero, so
that training starts at the model itself. Adapters sit on every linear map of every layer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import save_file

from apr_leaderboard.engine.reference.forward import Params
from apr_leaderboard.engine.reference.layout import HF_LAYER_NAMES
from apr_leaderboard.engine.reference.tensors import Array, HfFolder, SafeTensorsWriter, copy_companions
from apr_leaderboard.errors import FileFormatError

__all__ = ["TARGETS", "Adapter", "bind", "delta_of", "init_adapter", "save_adapter", "write_merged"]

TARGETS: Final = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

Adapter = list[dict[str, dict[str, jax.Array]]]
"""Per layer and target: {"a": [r, in], "b": [out, r]}."""


def init_adapter(params: Params, rank: int, seed: int) -> Adapter:
    """A ~ N(0, 1/in), B = 0, the same for the same seed. `params` are not fused; their maps may be in NF4."""
    rng = np.random.default_rng(seed)

    def pair(weight: jax.Array) -> dict[str, jax.Array]:
        n_out, n_in = weight.shape
        a = rng.standard_normal((rank, n_in)) / np.sqrt(n_in)
        return {"a": jnp.asarray(a, weight.dtype), "b": jnp.zeros((n_out, rank), weight.dtype)}

    return [{name: pair(layer[name]["weight"]) for name in TARGETS} for layer in params["layers"]]


def bind(params: Params, adapter: Adapter, scale: float) -> Params:
    """The same model with the adapter beside each of its maps; nothing is added up, so gradients stay low-rank."""
    layers = []
    for layer, pairs in zip(params["layers"], adapter, strict=True):
        bound = {
            name: {**layer[name], "lora_a": pair["a"], "lora_b": scale * pair["b"]} for name, pair in pairs.items()
        }
        layers.append({**layer, **bound})
    return {**params, "layers": layers}


def delta_of(pair: dict[str, jax.Array], scale: float) -> Array:
    """scale * B A: what merging adds to a weight [out, in]."""
    product: Array = np.asarray(pair["b"], np.float32) @ np.asarray(pair["a"], np.float32)
    return np.float32(scale) * product


def save_adapter(adapter: Adapter, folder: Path, rank: int, alpha: float) -> None:
    """adapter_model.safetensors and adapter_config.json, as the PEFT library names things."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for i, pairs in enumerate(adapter):
        for name, pair in pairs.items():
            stem = f"base_model.model.model.layers.{i}.{HF_LAYER_NAMES[name]}"
            tensors[f"{stem}.lora_A.weight"] = np.ascontiguousarray(pair["a"], np.float32)
            tensors[f"{stem}.lora_B.weight"] = np.ascontiguousarray(pair["b"], np.float32)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "base_model_name_or_path": None,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": list(TARGETS),
        "task_type": "CAUSAL_LM",
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def write_merged(
    source: HfFolder, target: Path, adapter: Adapter, scale: float, base_of: Callable[[Array], Array] = lambda x: x
) -> None:
    """The base with the adapter added in, each tensor in the type it had. `target` must not exist.

    `base_of` gives the matrix that an adapter was trained beside, where that is not the one in the file. Raises
    FileFormatError for a weight that its type cannot hold.
    """
    target.mkdir(parents=True)
    copy_companions(source.folder, target)
    deltas = {
        f"model.layers.{i}.{HF_LAYER_NAMES[name]}.weight": pair
        for i, pairs in enumerate(adapter)
        for name, pair in pairs.items()
    }
    with SafeTensorsWriter(target / "model.safetensors", list(source.specs.values())) as writer:
        for name in source.specs:
            array = source.read(name)
            if name in deltas:
                array = base_of(array) + delta_of(deltas[name], scale)
            try:
                writer.write(name, array)
            except ValueError as error:
                raise FileFormatError(source.folder, name, str(error), allowed="finite values") from None
