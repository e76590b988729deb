"""The jobs an engine may be given: a stage's parameters bound to the files it works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from apr_leaderboard.model.generation import DecodeParams, Prompt
from apr_leaderboard.model.record import CheckpointFormat
from apr_leaderboard.model.stage import (
    AlignParams,
    CompileParams,
    DistillParams,
    FinetuneParams,
    ImportParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
)

__all__ = [
    "AlignJob",
    "BenchJob",
    "CheckJob",
    "Checkpoint",
    "CompileJob",
    "DistillJob",
    "ExportJob",
    "FinetuneJob",
    "GenerateJob",
    "ImportJob",
    "InspectJob",
    "Job",
    "MakeSmokeJob",
    "MergeJob",
    "PerplexityJob",
    "PrepDataJob",
    "PruneJob",
    "QuantizeJob",
]


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk: a folder in the Hugging Face layout (`hf`), or one file (`gguf`, `apr`)."""

    path: Path
    format: CheckpointFormat


@dataclass(frozen=True)
class ImportJob:
    """Make the engine's own checkpoint from a source; the record's checkpoint is the result."""

    op: ClassVar[str] = "import"
    source: Checkpoint
    params: ImportParams


@dataclass(frozen=True)
class FinetuneJob:
    """Train on `data` (JSONL: instruction, response) and merge; also leaves adapter/ and losses.jsonl if it can."""

    op: ClassVar[str] = "finetune"
    model: Checkpoint
    data: Path
    params: FinetuneParams


@dataclass(frozen=True)
class PrepDataJob:
    """Clean `data` (JSONL) by `params.steps`; `against` are benchmark files whose problems must not be in it.

    Leaves data.jsonl (`jsonl`); figures: n_before, n_after and, for each step done, n_dropped_STEP.
    """

    op: ClassVar[str] = "prep-data"
    data: Path
    against: tuple[Path, ...]
    params: PrepDataParams


@dataclass(frozen=True)
class DistillJob:
    """Train `model` towards `teachers` on `data` (JSONL: instruction, response); also leaves losses.jsonl if it can."""

    op: ClassVar[str] = "distill"
    model: Checkpoint
    teachers: tuple[Checkpoint, ...]
    data: Path
    params: DistillParams


@dataclass(frozen=True)
class AlignJob:
    """Train on `data` (JSONL: prompt, chosen, rejected) and merge; also leaves adapter/ and losses.jsonl if it can.

    figures: first_loss, last_loss, first_margin, last_margin (mean implicit reward of chosen less rejected).
    """

    op: ClassVar[str] = "align"
    model: Checkpoint
    data: Path
    params: AlignParams


@dataclass(frozen=True)
class CompileJob:
    """Make one file (`program`) that answers a prompt by itself; figures: size_bytes, runs_alone."""

    op: ClassVar[str] = "compile"
    model: Checkpoint
    params: CompileParams


@dataclass(frozen=True)
class GenerateJob:
    """Answer prompts; answers go to the sink one by one, in any order."""

    op: ClassVar[str] = "generate"
    model: Checkpoint
    prompts: tuple[Prompt, ...]
    params: DecodeParams


@dataclass(frozen=True)
class PerplexityJob:
    """Perplexity of `text` (UTF-8) over windows of `window` tokens that do not overlap.

    figures: perplexity, n_tokens.
    """

    op: ClassVar[str] = "perplexity"
    model: Checkpoint
    text: Path
    window: int = 512
    max_tokens: int = 4096


@dataclass(frozen=True)
class CheckJob:
    """The engine's own self-test of a checkpoint; figures: stages_passed, stages_total."""

    op: ClassVar[str] = "check"
    model: Checkpoint


@dataclass(frozen=True)
class InspectJob:
    """What the engine says a checkpoint is; figures: architecture, n_layers, hidden_size, vocab_size, n_parameters."""

    op: ClassVar[str] = "inspect"
    model: Checkpoint


@dataclass(frozen=True)
class BenchJob:
    """Decode throughput as the engine measures it; figures: tokens_per_second, backend.

    With `prompts`, it is measured by answering these one after another, up to `n_tokens` each, plainly and with drafts
    of `draft_tokens` in turn, `rounds` times; more figures then: plain_tokens_per_second, speedup and n_differing.
    """

    op: ClassVar[str] = "bench"
    model: Checkpoint
    n_tokens: int = 32
    prompts: tuple[Prompt, ...] = ()
    draft_tokens: int = 0
    rounds: int = 9


@dataclass(frozen=True)
class ExportJob:
    """Write the checkpoint in an open layout (`hf` or `gguf`)."""

    op: ClassVar[str] = "export"
    model: Checkpoint
    format: CheckpointFormat = "hf"


@dataclass(frozen=True)
class MakeSmokeJob:
    """Make the suite's own small model from a seed: tokenizer, architecture and pretrained weights (`hf`)."""

    op: ClassVar[str] = "make-smoke"
    seed: int = 0


@dataclass(frozen=True)
class MergeJob:
    """Join `models` (the one at hand first) by `params.strategy`; `base` is what task vectors are taken from.

    figures: n_models, n_tensors, and for ties and dare: density_kept, conflicts_before, conflicts_after.
    """

    op: ClassVar[str] = "merge"
    models: tuple[Checkpoint, ...]
    base: Checkpoint | None
    params: MergeParams


@dataclass(frozen=True)
class PruneJob:
    """Take weights out; `calibration` is text (UTF-8) or JSONL, or None for what the engine has of its own.

    figures: sparsity (of what was pruned), sparsity_total (of all weights), n_parameters.
    """

    op: ClassVar[str] = "prune"
    model: Checkpoint
    calibration: Path | None
    params: PruneParams


@dataclass(frozen=True)
class QuantizeJob:
    """Store the weights in fewer bits; figures: size_bytes, size_fp16_bytes, bits_per_weight, rmse."""

    op: ClassVar[str] = "quantize"
    model: Checkpoint
    params: QuantizeParams


Job = (
    MakeSmokeJob
    | ImportJob
    | PrepDataJob
    | DistillJob
    | FinetuneJob
    | AlignJob
    | MergeJob
    | PruneJob
    | QuantizeJob
    | GenerateJob
    | PerplexityJob
    | CheckJob
    | InspectJob
    | BenchJob
    | CompileJob
    | ExportJob
)
