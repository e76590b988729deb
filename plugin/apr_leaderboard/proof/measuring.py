"""The few jobs that several measured checks look at, each asked for in one way, so that each is done once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.engine.jobs import CheckJob, FinetuneJob, MergeJob, PerplexityJob, PruneJob, QuantizeJob
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.stage import FinetuneParams, MergeParams, PruneParams, QuantizeParams
from apr_leaderboard.proof.check import Refuted
from apr_leaderboard.proof.lab import Lab, Made

__all__ = [
    "FINETUNE", "PRUNED_SHARE", "adapter_of", "bytes_of", "epoch_losses", "finetuned", "merged", "perplexity", "pruned",
    "quantized", "stages_passed", "step_figures", "text_perplexity",
]  # fmt: skip

FINETUNE: Final = FinetuneParams(
    dataset="contract", rank=4, alpha=8.0, learning_rate=2e-2, epochs=3, batch_size=8, max_seq_len=96
)
PRUNED_SHARE: Final = 0.3
_TEXT: Final = "def add(a, b):\n    return a + b\n\n\ndef double(value):\n    return 2 * value\n" * 6


def finetuned(lab: Lab) -> Made:
    """The specimen after LoRA on 32 short pairs."""
    data = _file(lab, "pairs.jsonl", "".join(json.dumps(_pair(i)) + "\n" for i in range(32)))
    params = FINETUNE.model_dump(mode="json", exclude={"dataset"})
    return lab.make(lambda found: FinetuneJob(found[0], data, FINETUNE), params, [lab.model()], data)


def merged(lab: Lab) -> Made:
    """Two specimens, halfway between them on the sphere."""
    params = MergeParams(strategy="slerp")
    return lab.make(lambda found: MergeJob(found, None, params), params, [lab.model(1), lab.model(2)])


def quantized(lab: Lab, scheme: Any) -> Made:
    """The specimen in fewer bits."""
    params = QuantizeParams(scheme=scheme)
    return lab.make(lambda found: QuantizeJob(found[0], params), params, [lab.model()])


def pruned(lab: Lab) -> Made:
    """The specimen with a share of its smallest weights zero."""
    params = PruneParams(method="magnitude", target_ratio=PRUNED_SHARE)
    return lab.make(lambda found: PruneJob(found[0], None, params), params, [lab.model()])


def perplexity(lab: Lab, window: int) -> tuple[float, int, str]:
    """Of the specimen on a short text: the figure, how many tokens were predicted, and the text."""
    data = _file(lab, "text.txt", _TEXT)
    made = lab.make(
        lambda found: PerplexityJob(found[0], data, window=window, max_tokens=256),
        {"window": window, "max_tokens": 256},
        [lab.model()],
        data,
    )
    figures = _figures(made)
    return float(figures["perplexity"]), int(figures["n_tokens"]), _TEXT


def bytes_of(made: Made) -> int:
    """Bytes of all files of a checkpoint. Raises `Refuted` for an empty one, `HarnessError` where there is none."""
    if made.checkpoint is None:
        raise HarnessError("the job left no checkpoint")
    path = made.checkpoint.path
    size = sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    if not size:
        raise Refuted(f"{path.name} is empty")
    return size


def text_perplexity(lab: Lab, made: Made) -> float:
    """Of a model on the text that the smoke model was held back from."""
    data = lab.root / "recipes" / "data" / "smoke-heldout.txt"
    if not data.is_file():
        raise HarnessError(f"{data}: no such file")
    params = {"window": 256, "max_tokens": 2048}
    job = lab.make(lambda found: PerplexityJob(found[0], data, **params), params, [made], data)
    return float(_figures(job)["perplexity"])


def stages_passed(lab: Lab, made: Made) -> tuple[int, int]:
    """How many stages of the engine's own check a checkpoint passes, and of how many."""
    figures = _figures(lab.make(lambda found: CheckJob(found[0]), {}, [made]))
    return int(figures["stages_passed"]), int(figures["stages_total"])


def epoch_losses(made: Made) -> list[float]:
    """The mean loss of each epoch, from the losses the engine left."""
    rows = _steps(made)
    epochs = sorted({row["epoch"] for row in rows})
    by_epoch = [[row["loss"] for row in rows if row["epoch"] == epoch] for epoch in epochs]
    return [sum(losses) / len(losses) for losses in by_epoch]


def step_figures(made: Made, name: str) -> list[float]:
    """One figure of each step of a training, in order, as the engine left it. Raises `HarnessError`."""
    rows = _steps(made)
    if not rows or any(name not in row for row in rows):
        raise HarnessError(f"{made.folder}: the engine left no {name} of each step")
    return [float(row[name]) for row in rows]


def adapter_of(made: Made) -> tuple[dict[str, Any], float]:
    """The adapter's tensors by PEFT's names, and alpha / rank as its configuration says. Raises `HarnessError`."""
    from safetensors.numpy import load_file

    folder = made.folder / "adapter"
    if not (folder / "adapter_model.safetensors").is_file():
        raise HarnessError(f"{folder}: the engine left no adapter")
    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    return load_file(folder / "adapter_model.safetensors"), config["lora_alpha"] / config["r"]


def _pair(number: int) -> dict[str, str]:
    return {"instruction": f"Add {number % 8}", "response": f"def add(x):\n    return x + {number % 8}\n"}


def _file(lab: Lab, name: str, text: str) -> Path:
    file = lab.folder / name
    if not file.is_file():
        file.write_text(text, encoding="utf-8")
    return file


def _steps(made: Made) -> list[dict[str, Any]]:
    file = made.folder / "losses.jsonl"
    if not file.is_file():
        raise HarnessError(f"{made.folder}: the engine left no losses.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _figures(made: Made) -> dict[str, Any]:
    if made.record is None:
        raise HarnessError("the job left no record")
    return dict(made.record.figures)
