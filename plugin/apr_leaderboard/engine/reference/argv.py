"""The command line of the reference program for each job. Pure functions of the job."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from apr_leaderboard.engine.jobs import (
    AlignJob,
    BenchJob,
    CheckJob,
    Checkpoint,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    ImportJob,
    InspectJob,
    Job,
    MakeSmokeJob,
    MergeJob,
    PerplexityJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.model.record import CheckpointFormat
from apr_leaderboard.model.stage import DistillParams, FinetuneParams

__all__ = ["PROMPTS_FILE", "build_argv", "checkpoint_of"]

PROMPTS_FILE = "prompts.jsonl"
"""Where the engine writes the prompts of a generation or a measurement, inside the out folder."""


_HINTS = ("task", "model_size", "quantize_nf4", "vram", "wait_gpu", "response_only")
"""What only engines with a GPU planner want to be told, and a switch that is written another way."""


def build_argv(job: Job, out: Path, backend: tuple[str, ...] = ()) -> tuple[str, ...]:
    """`python -m apr_leaderboard.engine.reference OP ... -o OUT` for any job; `backend` is how one is asked for."""
    words = [sys.executable, "-m", "apr_leaderboard.engine.reference", job.op]
    return (*words, *_own_words(job, out), *backend, "-o", str(out))


def checkpoint_of(job: Job) -> tuple[str, CheckpointFormat]:
    """Name and format of the checkpoint a job leaves in its out folder; EngineRefusedError if it leaves none."""
    match job:
        case MakeSmokeJob() | ImportJob() | FinetuneJob() | DistillJob() | AlignJob() | MergeJob() | PruneJob():
            return "model", "hf"
        case PrepDataJob():
            return "data.jsonl", "jsonl"
        case CompileJob():
            return job.params.output, "program"
        case QuantizeJob():
            return ("model", "hf") if job.params.scheme == "fp16" else ("model.gguf", "gguf")
        case ExportJob():
            return ("model", "hf") if job.format == "hf" else (f"model.{job.format}", job.format)
        case _:
            raise EngineRefusedError("reference", f"{job.op} leaves no checkpoint")


def _own_words(job: Job, out: Path) -> list[str]:
    match job:
        case MakeSmokeJob():
            return ["--seed", str(job.seed)]
        case ImportJob():
            return ["--source", _path(job.source), *_flags(job.params)]
        case FinetuneJob() | DistillJob() | AlignJob():
            return _training_words(job)
        case PrepDataJob():
            return _prep_data_words(job)
        case MergeJob():
            return _merge_words(job)
        case PruneJob():
            text = ["--calibration", str(job.calibration)] if job.calibration else []
            return ["--model", _path(job.model), *text, *_flags(job.params, skip=("calibration",))]
        case QuantizeJob():
            return ["--model", _path(job.model), *_flags(job.params)]
        case GenerateJob():
            return ["--model", _path(job.model), "--prompts", str(out / PROMPTS_FILE), *_flags(job.params)]
        case PerplexityJob():
            limits = ["--window", str(job.window), "--max-tokens", str(job.max_tokens)]
            return ["--model", _path(job.model), "--text", str(job.text), *limits]
        case BenchJob():
            asked = ["--prompts", str(out / PROMPTS_FILE), "--draft-tokens", str(job.draft_tokens)]
            asked = [*asked, "--rounds", str(job.rounds)] if job.prompts else []
            return ["--model", _path(job.model), "--tokens", str(job.n_tokens), *asked]
        case CompileJob():
            return ["--model", _path(job.model), "--name", job.params.output]
        case ExportJob():
            return ["--model", _path(job.model), "--format", job.format]
        case CheckJob() | InspectJob():
            return ["--model", _path(job.model)]
        case _:
            raise EngineRefusedError("reference", f"{job.op} is not offered")


def _prep_data_words(job: PrepDataJob) -> list[str]:
    against = [word for path in job.against for word in ("--against", str(path))]
    steps = ["--steps", ",".join(job.params.steps)]
    return ["--data", str(job.data), *against, *steps, *_flags(job.params, skip=("dataset", "against", "steps"))]


def _training_words(job: FinetuneJob | DistillJob | AlignJob) -> list[str]:
    teachers = job.teachers if isinstance(job, DistillJob) else ()
    words = [word for teacher in teachers for word in ("--teacher", _path(teacher))]
    skipped: tuple[str, ...] = ("dataset", "teacher", "more_teachers", *_HINTS)
    match job.params:
        case FinetuneParams(method=method, response_only=response_only):
            words += [] if response_only else ["--no-response-only"]
            skipped += ("rank", "alpha") if method == "full" else ()
        case DistillParams(mode=mode):
            skipped += ("max_tokens",) if mode == "logits" else ("temperature", "alpha")
    return ["--model", _path(job.model), *words, "--data", str(job.data), *_flags(job.params, skip=skipped)]


def _merge_words(job: MergeJob) -> list[str]:
    base = ["--base", _path(job.base)] if job.base else []
    weights = ["--weights=" + ",".join(map(repr, job.params.weights))] if job.params.weights else []
    skipped = ("models", "base_model", "weights")
    models = [word for model in job.models for word in ("--model", _path(model))]
    return [*models, *base, *weights, *_flags(job.params, skip=skipped)]


def _path(checkpoint: Checkpoint) -> str:
    if checkpoint.format == "apr":
        raise EngineRefusedError("reference", f"{checkpoint.path}: got format 'apr'; accepted: hf, gguf")
    return str(checkpoint.path)


def _flags(params: BaseModel, *, skip: tuple[str, ...] = ()) -> list[str]:
    """--field-name value for every field that has a value; a true boolean is a bare flag, a false one is left out."""
    values: Mapping[str, object] = params.model_dump()
    words = []
    for name, value in values.items():
        if name in skip or value is None or value is False:
            continue
        flag = "--" + name.rstrip("_").replace("_", "-")
        words += [flag] if value is True else [flag, str(value)]
    return words
