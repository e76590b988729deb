"""The command line of every job, as pure functions: no file is touched and nothing is started here."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from apr_leaderboard.engine.jobs import (
    AlignJob,
    BenchJob,
    CheckJob,
    Checkpoint,
    ExportJob,
    FinetuneJob,
    ImportJob,
    InspectJob,
    PerplexityJob,
)
from apr_leaderboard.model.generation import DecodeParams

__all__ = [
    "ADAPTER",
    "EXPORTED_GGUF",
    "EXPORTED_HF",
    "MODEL_FILE",
    "PROMPTS_FILE",
    "TEXT_FILE",
    "TRAIN_FOLDER",
    "batch_argv",
    "bench_argv",
    "check_argv",
    "export_argv",
    "finetune_argv",
    "import_argv",
    "inspect_argv",
    "merge_argv",
    "model_argument",
    "perplexity_argv",
    "serve_argv",
    "shell_line",
    "train_argv",
]

MODEL_FILE: Final = "model.apr"
PROMPTS_FILE: Final = "prompts.jsonl"
TEXT_FILE: Final = "text.txt"
EXPORTED_HF: Final = "hf/model.safetensors"
EXPORTED_GGUF: Final = "model.gguf"
TRAIN_FOLDER: Final = "train"
ADAPTER: Final = f"{TRAIN_FOLDER}/checkpoints/best/model.safetensors"

_NO_THRESHOLD: Final = "1e30"
"""A perplexity above `--threshold` makes `apr eval` exit 5; the suite judges figures itself."""


def model_argument(model: Checkpoint) -> str:
    """What to call a checkpoint on the command line: `apr` takes files, not folders, for most jobs."""
    return str(model.path / "model.safetensors" if model.format == "hf" else model.path)


def import_argv(binary: Path, job: ImportJob, out: Path) -> tuple[str, ...]:
    """`apr import`.

    `--preserve-q4k` is not used for GGUF sources although it would keep their blocks: 0.72.3 writes them under dtype
    codes that mean something else, and the model then answers `!!!!` (see docs/apr-findings.md).
    """
    argv = [str(binary), "import", model_argument(job.source), "-o", str(out / MODEL_FILE)]
    if job.params.quantization == "fp16":
        argv += ["--quantize", "fp16"]
    return tuple(argv)


def train_argv(binary: Path, job: FinetuneJob | AlignJob, out: Path, backend: str = "auto") -> tuple[str, ...]:
    """The training half of `apr finetune`; it writes `checkpoints/` beside its `-o` path, and no adapter there.

    Preferences are asked for as its methods dpo and orpo, so that the refusal is its own. The backend `auto` is its
    default, and not written.
    """
    params = job.params
    hints = [] if backend == "auto" else ["--gpu-backend", backend]
    for name in ("task", "model_size", "vram", "wait_gpu"):
        if (value := getattr(params, name)) is not None:
            hints += ["--" + name.replace("_", "-"), str(value)]
    return (
        str(binary), "finetune", model_argument(job.model),
        "--method", params.method,
        "--rank", str(params.rank),
        "--data", str(job.data),
        "--output", str(out / TRAIN_FOLDER / "adapter"),
        "--epochs", str(params.epochs),
        "--learning-rate", _number(params.learning_rate),
        "--max-seq-len", str(params.max_seq_len),
        *hints, *(["--quantize-nf4"] if params.quantize_nf4 else []),
    )  # fmt: skip


def merge_argv(binary: Path, job: FinetuneJob | AlignJob, out: Path) -> tuple[str, ...]:
    """The merging half of `apr finetune`; it wants the adapter's file, not its folder."""
    return (
        str(binary), "finetune", model_argument(job.model), "--merge",
        "--adapter", str(out / ADAPTER),
        "--output", str(out / MODEL_FILE),
    )  # fmt: skip


def finetune_argv(binary: Path, job: FinetuneJob | AlignJob, out: Path, backend: str = "auto") -> tuple[str, ...]:
    """Training and merging as the one shell line that is really started, in a folder of its own."""
    folder = shlex.quote(str(out / TRAIN_FOLDER))
    halves = (train_argv(binary, job, out, backend), merge_argv(binary, job, out))
    return ("/bin/sh", "-c", " && ".join([f"mkdir -p {folder}", f"cd {folder}", *map(shlex.join, halves)]))


def batch_argv(binary: Path, model: Checkpoint, prompts: Path, params: DecodeParams) -> tuple[str, ...]:
    """`apr run --batch-jsonl`. Neither a seed nor top-p is passed: that mode drops both (see docs/apr-findings.md)."""
    return (
        str(binary), "run", model_argument(model),
        "--batch-jsonl", str(prompts),
        "--max-tokens", str(params.max_tokens),
        "--temperature", _number(params.temperature),
        "--top-k", str(params.top_k),
    )  # fmt: skip


def serve_argv(binary: Path, model: Checkpoint) -> tuple[str, ...]:
    """`apr serve run` on a port the system chooses, so that no two runs can meet on one."""
    return (
        str(binary), "serve", "run", model_argument(model),
        "--host", "127.0.0.1",
        "--port", "0",
    )  # fmt: skip


def perplexity_argv(binary: Path, job: PerplexityJob, out: Path) -> tuple[str, ...]:
    """`apr eval` on a text, which it takes only as an argument: a shell reads the file `run` puts there."""
    head = (str(binary), "eval", model_argument(job.model), "--dataset", "custom")
    tail = ("--max-tokens", str(job.max_tokens), "--threshold", _NO_THRESHOLD, "--json")
    text = f'--text "$(cat {shlex.quote(str(out / TEXT_FILE))})"'
    return ("/bin/sh", "-c", f"exec {shlex.join(head)} {text} {shlex.join(tail)}")


def check_argv(binary: Path, job: CheckJob) -> tuple[str, ...]:
    """`apr check`."""
    return (str(binary), "check", model_argument(job.model), "--json")


def inspect_argv(binary: Path, job: InspectJob) -> tuple[str, ...]:
    """`apr inspect`."""
    return (str(binary), "inspect", model_argument(job.model), "--json")


def bench_argv(binary: Path, job: BenchJob) -> tuple[str, ...]:
    """`apr bench`, with its own warm-up and iterations."""
    return (str(binary), "bench", model_argument(job.model), "--max-tokens", str(job.n_tokens), "--json")


def export_argv(binary: Path, job: ExportJob, out: Path) -> tuple[str, ...]:
    """`apr export`."""
    kind, file = ("gguf", EXPORTED_GGUF) if job.format == "gguf" else ("safetensors", EXPORTED_HF)
    return (str(binary), "export", model_argument(job.model), "--format", kind, "-o", str(out / file), "--json")


def _number(value: float) -> str:
    """A float in a form both argument parsers and people read."""
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def shell_line(argv: Sequence[str]) -> str:
    """The line to type for a command; a shell line is given as it stands."""
    return argv[2] if argv[:2] == ("/bin/sh", "-c") else shlex.join(argv)
