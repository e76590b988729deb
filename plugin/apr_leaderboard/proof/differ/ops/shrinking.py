"""`apr prune` and `apr quantize`: which weights go, how far the others move, and what must stay as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.engine.reference.prune import magnitude_mask
from apr_leaderboard.proof.differ.claims import at_most, holds, inside, tensors, zeros
from apr_leaderboard.proof.differ.operation import Axis, Claim, Operation, Trial
from apr_leaderboard.proof.differ.ops.bounds import rounding_bounds, split_by_kind
from apr_leaderboard.proof.differ.ops.importing import configuration, tokenizer
from apr_leaderboard.proof.differ.tiny import SHAPE_AXES, WIDE_AXES, TinyModel, shape_of

__all__ = ["SHRINKINGS"]

_SMALL: Final = 1024
"""Values in a matrix below which not rounding it costs nothing."""
_RATIOS: Final = (0.5, 0.25, 0.1, 0.75, 0.9, 0.33)
_HEAD: Final = ("lm_head.weight",)
"""A tied model's output matrix, which may be written a second time."""
_SPARE_BYTES: Final = 32
"""What a scale, or a block that is not full, may add to a tensor."""


def _start(values: Mapping[str, Any], folder: Path, **more: Any) -> tuple[TinyModel, str, list[tuple[str, ...]]]:
    model = shape_of(values, **more)
    source = str(model.write(folder / "m"))
    if values["container"] == "safetensors":
        return model, source, []
    return model, "m.apr", [("import", source, "-o", "m.apr")]


def _layer_matrices(model: TinyModel) -> dict[str, Any]:
    return {name: array for name, array in model.tensors.items() if "layers." in name and array.ndim == 2}


def _rest(model: TinyModel) -> dict[str, Any]:
    matrices = _layer_matrices(model)
    return {name: array for name, array in model.tensors.items() if name not in matrices}


def _kept_around(values: Mapping[str, Any], model: TinyModel) -> list[Claim]:
    if values["container"] == "safetensors":
        return []
    return [*configuration("out.apr", model), *tokenizer("out.apr", model)]


def _magnitude(values: Mapping[str, Any], folder: Path) -> Trial:
    model, file, steps = _start(values, folder)
    ratio, matrices = values["ratio"], _layer_matrices(model)
    pruned = {name: array * ~magnitude_mask(array, ratio) for name, array in matrices.items()}
    # One entry more or less is a matter of how the share is rounded; which entries, is not.
    total = {name: [int(np.count_nonzero(array == 0))] for name, array in pruned.items()}
    claims = [
        zeros("share of each matrix", "out.apr", total, within=1),
        tensors("the smallest go, the others stay", "out.apr", pruned),
        *_rest_claims(model),
        *_kept_around(values, model),
    ]
    steps.append(("prune", file, "--method", "magnitude", "--target-ratio", str(ratio), "-o", "out.apr"))
    return Trial(tuple(steps), tuple(_loosened(claims, matrices, pruned)))


def _rest_claims(model: TinyModel) -> list[Claim]:
    vectors = {name: array for name, array in _rest(model).items() if array.ndim == 1}
    tables = {name: array for name, array in _rest(model).items() if array.ndim == 2}
    return [
        inside("out.apr", "apr"),
        tensors("norms and biases kept", "out.apr", vectors),
        tensors("embedding and head kept", "out.apr", tables),
    ]


def _loosened(claims: list[Claim], before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Claim]:
    """Where the last entry to go is a matter of rounding, both are right."""
    for claim in claims:
        if claim["name"] != "the smallest go, the others stay":
            continue
        for name, wanted in claim["expect"].items():
            flat, kept = np.abs(before[name].reshape(-1)), after[name].reshape(-1)
            order = np.argsort(flat, kind="stable")
            edge = int(np.count_nonzero(kept == 0))
            other = kept.astype(np.float64)
            for place in order[max(0, edge - 1) : edge + 1]:
                other[place] = 0.0 if other[place] else before[name].reshape(-1)[place]
            wanted["or"] = [other.tolist()]
    return claims


def _wanda(values: Mapping[str, Any], folder: Path) -> Trial:
    """Whatever the activations are, each output row loses the same share: so says the paper."""
    model, file, steps = _start(values, folder)
    ratio, matrices = values["ratio"], _layer_matrices(model)
    rows = {name: [int(ratio * array.shape[1] + 0.5)] * array.shape[0] for name, array in matrices.items()}
    argv = ["prune", file, "--method", "wanda", "--target-ratio", str(ratio), "-o", "out.apr"]
    if values["calibrated"]:
        (folder / "text.jsonl").write_text('{"text": "abcd the other"}\n' * 4, encoding="utf-8")
        argv += ["--calibration", "text.jsonl"]
    claims = [zeros("share of each row", "out.apr", rows, within=1), *_rest_claims(model), *_kept_around(values, model)]
    return Trial((*steps, tuple(argv)), tuple(claims))


def _structured(values: Mapping[str, Any], folder: Path) -> Trial:
    """Neurons are cut out: the matrices between are narrower, every layer alike, and nothing else is touched."""
    model, file, steps = _start(values, folder)
    kept = model.inner - int(model.inner * values["ratio"] + 0.5)
    shapes = {name: list(array.shape) for name, array in model.tensors.items()}
    for name in shapes:
        if name.endswith(("gate_proj.weight", "up_proj.weight")):
            shapes[name][0] = kept
        elif name.endswith("down_proj.weight"):
            shapes[name][1] = kept
    argv = ("prune", file, "--method", values["method"], "--target-ratio", str(values["ratio"]), "-o", "out.apr")
    claims = [
        holds("matrices narrower", "out.apr", shapes, may=_HEAD),
        *_rest_claims(model),
        *_kept_around(values, model),
    ]
    return Trial((*steps, argv), tuple(claims))


def _depth(values: Mapping[str, Any], folder: Path) -> Trial:
    """The named layers go, and the others are numbered anew from 0, as every loader counts them."""
    model, file, steps = _start(values, folder)
    first, last = (min(place, model.layers - 2) for place in values["layers_gone"])
    left = [layer for layer in range(model.layers) if not first <= layer <= last]
    expected = dict(_rest(model))
    for new, old in enumerate(left):
        for name, array in model.tensors.items():
            if f".layers.{old}." in name:
                expected[name.replace(f".layers.{old}.", f".layers.{new}.")] = array
    expected = {name: array for name, array in expected.items() if "layers." not in name or _number(name) < len(left)}
    argv = ("prune", file, "--method", "depth", "--remove-layers", f"{first}-{last}", "-o", "out.apr")
    claims = [
        inside("out.apr", "apr"),
        tensors("layers left, numbered anew", "out.apr", expected, only=True, may=_HEAD),
    ]
    if values["container"] == "apr":
        around = [c for c in configuration("out.apr", model) if c["at"] != ["num_layers"]]
        claims += [*around, *tokenizer("out.apr", model)]
    return Trial((*steps, argv), tuple(claims))


def _number(name: str) -> int:
    return int(name.split(".")[2])


def _quantize(values: Mapping[str, Any], folder: Path) -> Trial:
    scheme = values["scheme"]
    model, file, steps = _start(values, folder, scale=values["scale"], coarse=True)
    matrices, vectors = split_by_kind(model.tensors)
    claims = [
        inside("out.apr", "apr"),
        tensors(f"matrices rounded, {scheme}", "out.apr", matrices, within=rounding_bounds(matrices, scheme)),
        tensors(f"norms and biases kept, {scheme}", "out.apr", vectors, within=rounding_bounds(vectors, "fp16")),
        *_kept_around(values, model),
    ]
    if scheme != "fp16":
        # Small tensors stay as they are, which costs nothing in a model of any use.
        layers = {name: array for name, array in _layer_matrices(model).items() if array.size >= _SMALL}
        limit = sum(2 * array.size + _SPARE_BYTES for array in layers.values())
        claims.append(at_most(f"smaller than half precision, {scheme}", "out.apr", list(layers), limit))
    return Trial((*steps, ("quantize", file, "--scheme", scheme, "-o", "out.apr")), tuple(claims))


_CONTAINER: Final = Axis("container", ("safetensors", "apr"))
_RATIO: Final = Axis("ratio", _RATIOS)
_DEEPER: Final = tuple(Axis("layers", (2, 3, 4)) if axis.name == "layers" else axis for axis in SHAPE_AXES)

SHRINKINGS: Final = (
    Operation(
        "prune-magnitude",
        "Han et al. 2015, section 3: of each matrix of the layers the smallest share goes",
        (*SHAPE_AXES, _CONTAINER, _RATIO),
        _magnitude,
    ),
    Operation(
        "prune-wanda",
        "Sun et al. 2023, section 3: each output row of each matrix of the layers loses the same share",
        (*SHAPE_AXES, _CONTAINER, _RATIO, Axis("calibrated", (False, True))),
        _wanda,
    ),
    Operation(
        "prune-structured",
        "neurons are cut out: gate, up and down are narrower by the ratio, in every layer alike",
        (*SHAPE_AXES, _CONTAINER, Axis("ratio", (0.5, 0.25, 0.75)), Axis("method", ("structured", "width"))),
        _structured,
    ),
    Operation(
        "prune-depth",
        "the named layers go, the rest are numbered from 0",
        (*_DEEPER, _CONTAINER, Axis("layers_gone", ((0, 0), (1, 1), (0, 1), (1, 2)))),
        _depth,
    ),
    Operation(
        "quantize",
        "the weights, within a step of the coarsest scale; norms and biases as floats; matrices smaller than float16",
        (*WIDE_AXES, _CONTAINER, Axis("scheme", ("fp16", "int8", "int4", "q4k")), Axis("scale", (1.0, 0.01, 50.0))),
        _quantize,
    ),
)
