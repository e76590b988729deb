"""`apr inspect`, `tensors`, `check` and `diff`: what is said of a model, against the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.proof.differ.claims import ends, says
from apr_leaderboard.proof.differ.operation import Axis, Claim, Operation, Trial
from apr_leaderboard.proof.differ.tiny import DTYPES, SHAPE_AXES, shape_of

__all__ = ["VIEWS"]

_INSPECTED: Final[Mapping[str, str]] = {
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_kv_heads": "num_key_value_heads",
    "hidden_size": "hidden_size",
    "intermediate_size": "intermediate_size",
    "vocab_size": "vocab_size",
    "rope_theta": "rope_theta",
    "max_position_embeddings": "max_position_embeddings",
}
_BREAKS: Final = ("half", "magic", "nan", "infinity", "last-tensor", "no-embedding", "shape", "layers")


def _inspect(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, dtype=values["dtype"], theta=values["theta"])
    source = model.write(folder / "m")
    told = [says("configuration told", "2.stdout", ["metadata", key], model.config[own], 1e-6)
            for key, own in _INSPECTED.items()]  # fmt: skip
    claims = [
        *told,
        says("vocabulary told", "2.stdout", ["flags", "has_vocab"], True),
        says("not quantized", "2.stdout", ["flags", "quantized"], False),
    ]
    if not model.tied:  # a tied model's output matrix may be written a second time, and counted
        claims.append(says("tensors counted", "2.stdout", ["tensor_count"], len(model.tensors)))
        claims.append(says("parameters counted", "2.stdout", ["metadata", "param_count"], model.n_values))
    return Trial((("import", str(source), "-o", "m.apr"), ("inspect", "m.apr", "--json")), tuple(claims))


def _tensors(values: Mapping[str, Any], folder: Path) -> Trial:
    tied = values["tied"] and values["container"] == "safetensors"  # in .apr the output matrix may be there twice
    model = shape_of(values, dtype=values["dtype"], scale=values["scale"], tied=tied)
    source = model.write(folder / "m")
    target = str(source) if values["container"] == "safetensors" else "m.apr"
    steps: list[tuple[str, ...]] = [] if target != "m.apr" else [("import", str(source), "-o", "m.apr")]
    steps.append(("tensors", target, "--stats", "--json"))
    out = f"{len(steps)}.stdout"
    claims = [says("tensors counted", out, ["tensor_count"], len(model.tensors))]
    for place, (name, array) in enumerate(sorted(model.tensors.items())):
        exact = array.astype(np.float64)
        claims += [
            says("names in order", out, ["tensors", place, "name"], name),
            says("shapes", out, ["tensors", place, "shape"], list(array.shape)),
            says("statistics", out, ["tensors", place, "min"], float(exact.min()), 1e-5),
            says("statistics", out, ["tensors", place, "max"], float(exact.max()), 1e-5),
            says("statistics", out, ["tensors", place, "mean"], float(exact.mean()), 1e-3),
            says("statistics", out, ["tensors", place, "std"], float(exact.std()), 1e-3),
        ]
    return Trial(tuple(steps), tuple(claims))


def _check(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, dtype=values["dtype"])
    source = model.write(folder / "m")
    claims = (
        says("all stages pass", "2.stdout", ["all_passed"], True),
        says("ten stages", "2.stdout", ["total"], 10),
    )
    return Trial((("import", str(source), "-o", "m.apr"), ("check", "m.apr", "--json")), claims)


def _check_broken(values: Mapping[str, Any], folder: Path) -> Trial:
    """A model with one thing wrong: a check that ends well has not looked."""
    model, broken = shape_of(values), values["broken"]
    name = f"model.layers.{model.layers - 1}.mlp.down_proj.weight"
    if broken in ("nan", "infinity"):
        model.tensors[name].reshape(-1)[0] = np.nan if broken == "nan" else np.inf
    if broken == "shape":
        model.tensors[name] = model.tensors[name][:, :-1]
    if broken == "layers":
        model.config["num_hidden_layers"] += 1
    if broken == "last-tensor":
        del model.tensors[name]
    if broken == "no-embedding":
        del model.tensors["model.embed_tokens.weight"]
    path = folder / model.write(folder / "m")
    if broken == "half":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    if broken == "magic":
        path.write_bytes(b"\xff" * 16 + path.read_bytes()[16:])
    return Trial((("check", "m/model.safetensors", "--json"),), (ends(1, "refused", f"sees {broken}"),))


def _diff(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values, tied=False)
    other = model.tuned(1)
    first = model.write(folder / "a")
    changed = sorted(model.tensors)[values["place"] % len(model.tensors)]
    same = values["change"] == 0.0
    for name, array in model.tensors.items():
        other.tensors[name] = array.copy()
    other.tensors[changed].reshape(-1)[0] += np.float32(values["change"])
    second = other.write(folder / "b")
    imports = tuple(("import", str(p), "-o", f"{n}.apr") for n, p in (("a", first), ("b", second)))
    kept: list[Claim] = [
        says("tensors compared", "3.stdout", ["tensors_compared"], len(model.tensors)),
        says("tensors that are equal", "3.stdout", ["identical_count"], len(model.tensors) - (not same)),
    ]
    return Trial((*imports, ("diff", "a.apr", "b.apr", "--values", "--limit", "1000", "--json")), tuple(kept))


_DTYPE: Final = Axis("dtype", DTYPES)

VIEWS: Final = (
    Operation(
        "inspect",
        "config.json and the tensors themselves",
        (*SHAPE_AXES, _DTYPE, Axis("theta", (10000.0, 500.0, 1e6))),
        _inspect,
    ),
    Operation(
        "tensors-stats",
        "names, shapes, least, greatest, mean and deviation of each tensor in float64",
        (*SHAPE_AXES, _DTYPE, Axis("scale", (1.0, 0.01, 50.0)), Axis("container", ("safetensors", "apr"))),
        _tensors,
    ),
    Operation("check-sound", "a whole model passes every stage", (*SHAPE_AXES, _DTYPE), _check),
    Operation(
        "check-broken",
        "a model that is torn, lacks a part, or has a wrong shape or values that are not finite does not pass",
        (Axis("broken", _BREAKS), *SHAPE_AXES),
        _check_broken,
    ),
    Operation(
        "diff",
        "two models that differ in one value of one tensor, or in none",
        (
            *(axis for axis in SHAPE_AXES if axis.name != "tied"),
            Axis("change", (0.0, 1.0, 1e-3, -0.1)),
            Axis("place", tuple(range(12))),
        ),
        _diff,
    ),
)
