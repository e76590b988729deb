"""Follows `apr finetune` while it trains and holds the adapter and the merged model to account afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from apr_leaderboard.engine.apr.apr_format import AprFile, tensor_values
from apr_leaderboard.engine.apr.sources import read_source, source_values
from apr_leaderboard.engine.apr.verify import Written
from apr_leaderboard.engine.jobs import Checkpoint
from apr_leaderboard.engine.protocol import Progress
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import Finding
from apr_leaderboard.model.stage import AlignParams, FinetuneParams

__all__ = [
    "Adapter",
    "EpochEnd",
    "Step",
    "TrainingLog",
    "ignored_by_finetune",
    "read_adapter",
    "uncompared",
    "unhonoured",
    "verify_merge",
]

_STEP: Final = re.compile(
    r"Epoch (?P<epoch>\d+)/(?P<epochs>\d+) step (?P<step>\d+)/(?P<steps>\d+): loss=(?P<loss>\S+) lr=(?P<lr>\S+)"
)
_EPOCH: Final = re.compile(
    r"Epoch (?P<epoch>\d+) complete: avg_loss=(?P<loss>\S+) tokens=(?P<tokens>\d+) samples=(?P<samples>\d+)"
)
_MERGE_TOLERANCE: Final = 1e-4
_UNTRAINED: Final = 1e-3
"""A layer whose B matrix stays below this share of the largest one was not trained with the others."""
_TARGET: Final = re.compile(r"lora\.(?P<layer>\d+)\.(?P<target>\w+)\.lora_a")


@dataclass(frozen=True)
class Step:
    """One line of training progress; `step` counts within the epoch, one sample each."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    learning_rate: float


@dataclass(frozen=True)
class EpochEnd:
    """One epoch's end: mean loss over `tokens` target tokens of `samples` samples."""

    epoch: int
    loss: float
    tokens: int
    samples: int


@dataclass
class TrainingLog:
    """What stderr has told so far."""

    steps: list[Step] = field(default_factory=list)
    epochs: list[EpochEnd] = field(default_factory=list)

    def take(self, line: str) -> Progress | None:
        """Note one line; the progress it means, if any."""
        if step := _STEP.search(line):
            now = Step(
                int(step["epoch"]), int(step["epochs"]), int(step["step"]), int(step["steps"]),
                float(step["loss"]), float(step["lr"]),
            )  # fmt: skip
            self.steps.append(now)
            done = (now.epoch - 1) * now.steps + now.step
            figures = {"loss": now.loss, "learning_rate": now.learning_rate, "epoch": now.epoch}
            return Progress("finetune", done, now.epochs * now.steps, "samples", f"loss {now.loss:.4f}", figures)
        if end := _EPOCH.search(line):
            self.epochs.append(EpochEnd(int(end["epoch"]), float(end["loss"]), int(end["tokens"]), int(end["samples"])))
        return None

    def samples_seen(self) -> int:
        """Training steps of all finished epochs, one sample each."""
        return sum(end.samples for end in self.epochs)

    def reached(self) -> str:
        """How far training got, in words."""
        if not self.steps:
            return "before its first report"
        last = self.steps[-1]
        return f"at epoch {last.epoch} of {last.epochs}, sample {last.step} of {last.steps}, loss {last.loss:.4f}"

    def write(self, path: Path) -> None:
        """One JSON object per reported step, epoch ends among them."""
        rows = [*map(asdict, self.steps), *({"epoch_end": True, **asdict(end)} for end in self.epochs)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@dataclass(frozen=True)
class Adapter:
    """A and B of every adapted matrix, by the name of the base tensor; alpha as the checkpoint's metadata has it."""

    pairs: Mapping[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]
    alpha: float | None

    def untrained(self) -> list[str]:
        """Base tensors whose B matrix stayed next to zero while others did not."""
        largest = {name: float(np.abs(b).max(initial=0.0)) for name, (_, b) in self.pairs.items()}
        top = max(largest.values(), default=0.0)
        return sorted(name for name, size in largest.items() if size < _UNTRAINED * top)


def read_adapter(path: Path, command: Sequence[str]) -> Adapter:
    """The adapter in a trainer checkpoint. Raises `EngineOutputError` if there is none or it would change nothing."""
    try:
        tensors = read_source(Checkpoint(path, "hf"))
    except (OSError, ValueError) as error:
        raise EngineOutputError(
            "apr", f"training reported success but left no adapter: {error}", command=command
        ) from error
    pairs = {}
    for name, tensor in tensors.items():
        match = _TARGET.fullmatch(name)
        other = tensors.get(name.removesuffix("a") + "b")
        a, b = source_values(tensor), source_values(other) if other else None
        if match and a is not None and b is not None:
            block = "self_attn" if match["target"] in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            pairs[f"model.layers.{match['layer']}.{block}.{match['target']}.weight"] = (a, b)
    if not pairs:
        raise EngineOutputError("apr", f"the adapter has no LoRA pairs: {sorted(tensors)[:4]}", command=command)
    if not all(np.isfinite(matrix).all() for pair in pairs.values() for matrix in pair):
        raise EngineOutputError("apr", "the adapter holds values that are not finite", command=command)
    if not any(b.any() for _, b in pairs.values()):
        raise EngineOutputError(
            "apr", "training changed nothing: every B matrix of the adapter is zero", command=command
        )
    return Adapter(pairs, _alpha(path.with_name("metadata.json")))


def verify_merge(merged: Written, base: AprFile, adapter: Adapter) -> float:
    """Check merged = base + alpha/rank * B A (Hu et al. 2021, section 4.1); the largest change of any weight.

    Without alpha only what the adapter does not name can be checked; `uncompared` tells that.
    Raises `EngineOutputError` if nothing changed, or something else did.
    """
    largest = 0.0
    for name in base.tensors:
        before, after = tensor_values(base, name), tensor_values(merged.file, name)
        if before is None or after is None:
            continue
        change = after - before
        largest = max(largest, float(np.abs(change).max(initial=0.0)))
        if name in adapter.pairs and adapter.alpha is not None:
            a, b = adapter.pairs[name]
            expected = (adapter.alpha / a.shape[0]) * (b @ a)
            worst = float(np.abs(change - expected).max(initial=0.0))
            # The change is a difference of rounded weights: allow for their rounding too.
            if worst > _MERGE_TOLERANCE * float(np.abs(expected).max()) + 1e-6 * float(np.abs(before).max()):
                raise merged.wrong(f"tensor {name}: not base + alpha/rank B A, off by up to {worst:.3g}")
        elif name not in adapter.pairs and change.any():
            raise merged.wrong(f"tensor {name}: changed by the merge although the adapter does not name it")
    if largest == 0.0:
        raise merged.wrong("the merged model equals its base, although the adapter is not zero")
    return largest


def uncompared(adapter: Adapter, command: str) -> list[Finding]:
    """A finding where the trainer does not say its alpha, so that nothing can be held against B A."""
    if adapter.alpha is not None:
        return []
    message = "metadata.json of the adapter says no lora_alpha: what was merged could not be held against it"
    return [Finding(code="merge-not-compared", message=message, command=command)]


def unhonoured(params: FinetuneParams | AlignParams, log: TrainingLog, command: str) -> list[Finding]:
    """What was asked of the training that `apr finetune` 0.72.3 has no way to be asked, or does not do."""
    findings = ignored_by_finetune(params)
    if log.epochs and (last := log.epochs[-1]).tokens == 0:
        findings.append(
            ("no-target-tokens", f"epoch {last.epoch} trained on no target token of {last.samples} samples")
        )
    return [Finding(code=code, message=message, command=command) for code, message in findings]


def ignored_by_finetune(params: FinetuneParams | AlignParams) -> list[tuple[str, str]]:
    """Code and words of every parameter that `apr finetune` 0.72.3 passes over."""
    told = []
    if params.batch_size != 1:
        told.append(("batch-size-not-honoured", f"trains one sample a step, not {params.batch_size}"))
    if params.scale != 2.0:
        told.append(("alpha-not-honoured", f"alpha is always twice the rank; alpha/rank {params.scale:g} was asked"))
    if params.method in ("full", "qlora"):
        what = "it trains a low-rank adapter" if params.method == "full" else "it quantises nothing on a CPU"
        told.append(("method-not-honoured", f"method {params.method} trains as lora does: {what}"))
    if isinstance(params, FinetuneParams) and not params.response_only:
        told.append(("response-only", "only the response counts in its loss, and it cannot be told otherwise"))
    told.append(("seed-not-honoured", "it takes no seed; its shuffling and initial weights are its own"))
    return told


def _alpha(path: Path) -> float | None:
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["lora_alpha"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
