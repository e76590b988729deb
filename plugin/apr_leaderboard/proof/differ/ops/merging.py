"""`apr merge` against the formulas of the papers, and the merging of a LoRA adapter by `apr finetune --merge`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.engine.reference.merge import linear, mix_task_vectors, slerp, trim
from apr_leaderboard.proof.differ.claims import inside, moved, tensors
from apr_leaderboard.proof.differ.operation import Axis, Claim, Operation, Trial
from apr_leaderboard.proof.differ.ops.importing import configuration, tokenizer
from apr_leaderboard.proof.differ.tiny import SHAPE_AXES, TinyModel, shape_of

__all__ = ["MERGES_OF_MODELS", "family", "imported"]

_WITHIN: Final = 2e-6
_NO_ANGLE: Final = 1e-7
_TASK_SLACK: Final = 0.02
_HEAD: Final = ("lm_head.weight",)
"""A tied model's output matrix, which may be written a second time."""
_WEIGHTS: Final = ((0.5, 0.5), (1.0, 0.0), (0.25, 0.75), (0.9, 0.1), (1.0, 1.0), (3.0, 1.0))


def family(model: TinyModel, count: int, folder: Path, by: float = 0.3) -> tuple[list[TinyModel], list[str]]:
    """The model and `count` tunings of it, written; and their files."""
    models = [model, *(model.tuned(number, by) for number in range(1, count + 1))]
    return models, [str(one.write(folder / name)) for one, name in zip(models, "abcdef", strict=False)]


def imported(files: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Commands that import each file under its folder's name."""
    return tuple(("import", file, "-o", f"{file[0]}.apr") for file in files)


def _container(values: Mapping[str, Any], files: list[str]) -> tuple[list[str], tuple[tuple[str, ...], ...]]:
    if values["container"] == "safetensors":
        return files, ()
    return [f"{file[0]}.apr" for file in files], imported(files)


def _whole(values: Mapping[str, Any], model: TinyModel) -> list[Claim]:
    """A merged .apr file is one: with the configuration and the tokenizer of what it was made from."""
    if values["container"] == "safetensors":
        return [inside("out.safetensors", "safetensors")]
    return [inside("out.apr", "apr"), *configuration("out.apr", model)[:4], *tokenizer("out.apr", model)[:2]]


def _merge(values: Mapping[str, Any], folder: Path) -> Trial:
    models, files = family(shape_of(values), 2 if values["strategy"] == "weighted" else values["models"], folder)
    models, files = models[1:], files[1:]
    used, steps = _container(values, files)
    argv = ["merge", *used, "--strategy", values["strategy"]]
    weights: Sequence[float] = [1.0] * len(models)
    if values["strategy"] == "weighted":
        weights = values["weights"]
        argv += ["--weights", ",".join(map(str, weights))]
    out = f"out.{values['container']}"
    expected = {name: linear([m.tensors[name] for m in models], weights) for name in models[0].tensors}
    claims = [tensors(f"{values['strategy']} mean", out, expected, within=_WITHIN, only=True, may=_HEAD)]
    return Trial((*steps, (*argv, "-o", out)), (*claims, *_whole(values, models[0])))


def _slerp(values: Mapping[str, Any], folder: Path) -> Trial:
    models, files = family(shape_of(values), 2, folder, values["apart"])
    first, second = models[1:]
    used, steps = _container(values, files[1:])
    t = values["t"]
    out = f"out.{values['container']}"
    argv = ("merge", *used, "--strategy", "slerp", "--weights", f"{1 - t:g},{t:g}", "-o", out)
    expected = {name: slerp(first.tensors[name], second.tensors[name], t) for name in first.tensors}
    name = "spherical mean, equal shares" if t == 0.5 else "spherical mean, unequal shares"
    wanted = tensors(name, out, expected, within=1e-5, only=True, may=_HEAD)
    for tensor, one in wanted["expect"].items():
        # Where two tensors are nearly parallel, the circle itself is as good an answer as the straight line.
        one["or"] = [_on_the_circle(first.tensors[tensor], second.tensors[tensor], t)]
    return Trial((*steps, argv), (wanted, *_whole(values, first)))


def _on_the_circle(first: Any, second: Any, t: float) -> list[float]:
    a, b = first.astype(np.float64).reshape(-1), second.astype(np.float64).reshape(-1)
    angle = np.arccos(np.clip(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), -1, 1))
    if angle < _NO_ANGLE:
        return [float(value) for value in (1 - t) * a + t * b]
    mixed = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return [round(float(value), 9) for value in mixed]


def _task_merge(values: Mapping[str, Any], folder: Path, strategy: str, option: str) -> tuple[Any, ...]:
    models, files = family(shape_of(values), values["models"], folder)
    used, steps = _container(values, files)
    share = values["density"] if strategy == "ties" else values["drop_rate"]
    out = f"out.{values['container']}"
    argv = ("merge", *used[1:], "--strategy", strategy, "--base-model", used[0], option, str(share), "-o", out)
    if strategy == "dare":
        argv += ("--seed", str(values["seed"]))
    tasks = {name: [m.tensors[name] - models[0].tensors[name] for m in models[1:]] for name in models[0].tensors}
    return models, tasks, (*steps, argv), out


def _ties(values: Mapping[str, Any], folder: Path) -> Trial:
    models, tasks, steps, out = _task_merge(values, folder, "ties", "--density")
    base, density = models[0].tensors, values["density"]
    expected = {}
    for name, parts in tasks.items():
        kept = [trim(part.copy(), density) for part in parts]
        expected[name] = mix_task_vectors(base[name], kept, [1.0] * len(kept), 1.0, elect=True, normalize=True)
    low, high = max(0.0, density - 0.1), min(1.0, len(models[1:]) * density + 0.1)
    claims = [
        moved("share of entries kept", out, base, low, high),
        tensors("trimmed, elected, averaged", out, expected, within=_WITHIN, only=True, may=_HEAD),
    ]
    return Trial(steps, (*claims, *_whole(values, models[0])))


def _dare(values: Mapping[str, Any], folder: Path) -> Trial:
    """Which entries are dropped is drawn; what an entry may become is not."""
    models, tasks, steps, out = _task_merge(values, folder, "dare", "--drop-rate")
    base, drop = models[0].tensors, values["drop_rate"]
    wanted = tensors(
        "an entry is dropped or scaled by 1 / (1 - p), and added", out, base, within=5e-6, only=True, may=_HEAD
    )
    for name, parts in tasks.items():
        sums = [np.zeros_like(base[name])]
        for part in parts:
            sums += [one + part / np.float32(1 - drop) for one in sums]
        wanted["expect"][name]["or"] = [
            np.round(base[name] + one, 8).reshape(-1).astype(float).tolist() for one in sums[1:]
        ]
    n_values = sum(array.size for array in base.values())
    share = 1 - drop ** len(models[1:])
    slack = _TASK_SLACK + 4 * float(np.sqrt(share * (1 - share) / n_values))
    claims = [moved("share of entries kept", out, base, share - slack, min(1.0, share + slack)), wanted]
    return Trial(steps, (*claims, *_whole(values, models[0])))


def _lora(values: Mapping[str, Any], folder: Path) -> Trial:
    model = shape_of(values)
    source, rank, alpha = model.write(folder / "m"), values["rank"], values["alpha"]
    rng = np.random.default_rng([values["seed"], 77])
    pairs: dict[str, tuple[Any, Any]] = {}
    for layer in range(model.layers):
        for target in values["targets"]:
            name = f"model.layers.{layer}.self_attn.{target}.weight"
            n_out, n_in = model.tensors[name].shape
            a, b = rng.standard_normal((rank, n_in)), rng.standard_normal((n_out, rank))
            pairs[name] = (0.3 * a.astype(np.float32), 0.3 * b.astype(np.float32))
    adapter = _write_adapter(folder / "adapter", pairs, rank, alpha, values["layout"])
    expected = dict(model.tensors)
    for name, (a, b) in pairs.items():
        expected[name] = (model.tensors[name] + (alpha / rank) * (b.astype(np.float64) @ a)).astype(np.float32)
    untouched = {name: array for name, array in model.tensors.items() if name not in pairs}
    adapted = {name: expected[name] for name in pairs}
    steps = (
        ("import", str(source), "-o", "m.apr"),
        ("finetune", "m.apr", "--merge", "--adapter", f"adapter/{adapter}", "-o", "out.apr"),
    )
    claims = [
        tensors(f"W + alpha / r B A, {values['layout']} adapter", "out.apr", adapted, within=1e-5),
        tensors("other weights kept", "out.apr", untouched, within=0.0),
        *configuration("out.apr", model),
        *tokenizer("out.apr", model),
    ]
    return Trial(steps, tuple(claims))


def _write_adapter(folder: Path, pairs: Mapping[str, tuple[Any, Any]], rank: int, alpha: float, layout: str) -> str:
    """As the PEFT library or as the program itself writes one; returns the file's name."""
    from safetensors.numpy import save_file  # an extra

    folder.mkdir()
    stored = {}
    for name, (a, b) in pairs.items():
        _, _, layer, _, target, _ = name.split(".")
        if layout == "peft":
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            stored[f"{stem}.lora_A.weight"], stored[f"{stem}.lora_B.weight"] = a, b
        else:
            stored[f"lora.{layer}.{target}.lora_a"], stored[f"lora.{layer}.{target}.lora_b"] = a, b
    if layout == "peft":
        config = {"peft_type": "LORA", "r": rank, "lora_alpha": alpha, "task_type": "CAUSAL_LM", "bias": "none"}
        config["target_modules"] = sorted({name.split(".")[4] for name in pairs})
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
        save_file(stored, folder / "adapter_model.safetensors")
        return "adapter_model.safetensors"
    (folder / "metadata.json").write_text(
        json.dumps({"lora_rank": rank, "lora_alpha": alpha, "epoch": 0, "train_loss": 0.0, "val_loss": 0.0}),
        encoding="utf-8",
    )
    save_file(stored, folder / "model.safetensors")
    return "model.safetensors"


_CONTAINER: Final = Axis("container", ("safetensors", "apr"))

MERGES_OF_MODELS: Final = (
    Operation(
        "merge-linear",
        "sum_i w_i W_i / sum_i w_i",
        (*SHAPE_AXES, _CONTAINER, Axis("strategy", ("average", "weighted")), Axis("weights", _WEIGHTS),
         Axis("models", (2, 3, 4))),
        _merge,
    ),
    Operation(
        "merge-slerp",
        "Shoemake 1985 on each tensor; straight allowed where |cos| > 0.9995; t is the share of the second model",
        (*SHAPE_AXES, _CONTAINER, Axis("t", (0.5, 0.25, 0.75, 0.9)), Axis("apart", (0.3, 3.0, 0.001))),
        _slerp,
    ),
    Operation(
        "merge-ties",
        "Yadav et al. 2023, section 3: keep the largest entries, elect signs by mass, average those that agree",
        (*SHAPE_AXES, _CONTAINER, Axis("models", (2, 3)), Axis("density", (0.5, 0.2, 0.8, 1.0))),
        _ties,
    ),
    Operation(
        "merge-dare",
        "Yu et al. 2023, section 3: drop entries of each task vector with probability p, scale the rest by 1 / (1 - p)",
        (*SHAPE_AXES, _CONTAINER, Axis("models", (2, 3)), Axis("drop_rate", (0.5, 0.2, 0.9))),
        _dare,
    ),
    Operation(
        "lora-merge",
        "Hu et al. 2021, section 4.1: W + (alpha / r) B A",
        (*SHAPE_AXES, Axis("layout", ("apr", "peft")), Axis("rank", (1, 2, 4)), Axis("alpha", (1.0, 2.0, 8.0)),
         Axis("targets", (("q_proj",), ("q_proj", "v_proj"), ("k_proj", "o_proj")))),
        _lora,
    ),
)  # fmt: skip
