"""Read a folder's weights into the parameter tree of `forward`, one tensor at a time, and write a tree back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import safe_open

from apr_leaderboard.engine.reference.config import ModelConfig, config_from_hf
from apr_leaderboard.engine.reference.forward import Params, fuse_layer
from apr_leaderboard.engine.reference.layout import HF_LAYER_NAMES, hf_tensors, tensor_shapes
from apr_leaderboard.engine.reference.tensors import Array, HfFolder, SafeTensorsWriter, copy_companions
from apr_leaderboard.errors import FileFormatError

__all__ = [
    "HF_LAYER_NAMES",
    "GetTensor",
    "Hold",
    "assemble",
    "flat_params",
    "hf_tensors",
    "load_hf",
    "tensor_shapes",
    "write_trained",
]

GetTensor = Callable[[str], Array]
Hold = Callable[[Array], Any]


def _as_it_is(array: Array) -> jax.Array:
    return jnp.asarray(array)


def load_hf(folder: Path, *, fused: bool = False, hold: Hold = _as_it_is) -> tuple[ModelConfig, Params]:
    """Configuration and float32 parameters of a folder; `fused` joins q, k, v and gate, up.

    `hold` decides in what form the matrices of the layers are kept, each before the next is read. Raises
    FileFormatError for a missing, truncated or wrongly shaped tensor.
    """
    config = config_from_hf(folder)
    shards = hf_tensors(folder)

    def get(name: str) -> Array:
        if name not in shards:
            raise FileFormatError(folder, name, "tensor is missing")
        return _read_tensor(shards[name], name)

    return config, assemble(config, get, folder, fused=fused, hold=hold)


def assemble(config: ModelConfig, get: GetTensor, path: Path, *, fused: bool = False, hold: Hold = _as_it_is) -> Params:
    """The parameter tree from a function that gives a tensor by its Hugging Face name; every shape is checked."""
    shapes = dict(tensor_shapes(config))

    def take(name: str, hold: Hold = _as_it_is) -> Any:
        array = get(name)
        if array.shape != shapes[name]:
            raise FileFormatError(path, name, f"shape {array.shape}", allowed=str(shapes[name]))
        return hold(array)

    layers = []
    for i in range(config.n_layers):
        layer: dict[str, Any] = {}
        for ours, theirs in HF_LAYER_NAMES.items():
            name = f"model.layers.{i}.{theirs}"
            if name in shapes:
                layer[ours] = take(name)
            else:
                parts = [kind for kind in ("weight", "bias") if f"{name}.{kind}" in shapes]
                layer[ours] = {kind: take(f"{name}.{kind}", hold if kind == "weight" else _as_it_is) for kind in parts}
        layers.append(fuse_layer(layer) if fused else layer)
    params: Params = {"embed": take("model.embed_tokens.weight"), "final_norm": take("model.norm.weight")}
    if not config.tie_embeddings:
        params["lm_head"] = {"weight": take("lm_head.weight")}
    return {**params, "layers": layers}


def flat_params(config: ModelConfig, params: Params) -> dict[str, Array]:
    """Every tensor of an unfused tree by its Hugging Face name, as float32: the way back from `assemble`."""
    flat: dict[str, Any] = {"model.embed_tokens.weight": params["embed"], "model.norm.weight": params["final_norm"]}
    if "lm_head" in params:
        flat["lm_head.weight"] = params["lm_head"]["weight"]
    for i, layer in enumerate(params["layers"]):
        for ours, theirs in HF_LAYER_NAMES.items():
            name = f"model.layers.{i}.{theirs}"
            if isinstance(layer[ours], dict):
                flat.update({f"{name}.{kind}": array for kind, array in layer[ours].items()})
            else:
                flat[name] = layer[ours]
    assert set(flat) == {name for name, _ in tensor_shapes(config)}
    return {name: np.asarray(array, np.float32) for name, array in flat.items()}


def write_trained(source: HfFolder, target: Path, config: ModelConfig, params: Params) -> None:
    """The checkpoint with the weights of `params` (not fused), each tensor in the type it had.

    A file that keeps a tied output layer beside the embedding gets the embedding in both places. `target` must not
    exist. Raises FileFormatError for a weight that its type cannot hold.
    """
    flat = flat_params(config, params)
    if config.tie_embeddings:
        flat["lm_head.weight"] = flat["model.embed_tokens.weight"]
    target.mkdir(parents=True)
    copy_companions(source.folder, target)
    with SafeTensorsWriter(target / "model.safetensors", list(source.specs.values())) as writer:
        for name in source.specs:
            try:
                writer.write(name, flat[name] if name in flat else source.read(name))
            except ValueError as error:
                raise FileFormatError(source.folder, name, str(error), allowed="finite values") from None


def _read_tensor(file: Path, name: str) -> Array:
    # NumPy has no bfloat16 of its own; the JAX loader knows it, and float32 holds every value of it exactly.
    with safe_open(file, framework="flax") as handle:
        return np.asarray(handle.get_tensor(name).astype(jnp.float32))
