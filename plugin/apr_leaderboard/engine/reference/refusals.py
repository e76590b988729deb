"""What the reference engine refuses or passes over, told before it is started."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.engine.jobs import (
    AlignJob,
    Checkpoint,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    Job,
    MergeJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.reference.ops import OPS

__all__ = ["refusals_of_reference"]

_HINTS: Final = ("task", "model_size", "quantize_nf4", "vram", "wait_gpu")


def refusals_of_reference(job: Job) -> tuple[str, ...]:
    """One line each, as `engine.refusals` says."""
    if job.op not in OPS:
        return (f"refuses: {job.op} is not offered",)
    return (*_formats(job), *_ignored(job))


def _formats(job: Job) -> list[str]:
    models = _models(job)
    told = [f"refuses: {job.op} of {model.path.name}: got format 'apr'; accepted: hf, gguf" for model in models
            if model.format == "apr"]  # fmt: skip
    if isinstance(job, DistillJob | FinetuneJob | AlignJob | MergeJob | PruneJob | QuantizeJob):
        told += [f"refuses: {job.op} of {model.path.name}: got format 'gguf'; accepted: hf" for model in models
                 if model.format == "gguf"]  # fmt: skip
    if isinstance(job, ExportJob) and (job.model.format, job.format) == ("gguf", "gguf"):
        told.append("refuses: export --format gguf: the model is a GGUF file already")
    return told


def _models(job: Job) -> tuple[Checkpoint, ...]:
    match job:
        case MergeJob():
            return (*job.models, *([job.base] if job.base else []))
        case DistillJob():
            return (job.model, *job.teachers)
        case FinetuneJob() | AlignJob() | PruneJob() | QuantizeJob() | CompileJob() | ExportJob() | GenerateJob():
            return (job.model,)
        case _:
            return ()


def _ignored(job: Job) -> list[str]:
    match job:
        case FinetuneJob() | AlignJob():
            written = [name for name in _HINTS if getattr(job.params, name)]
            return [f"ignores: {job.op} {name}: for engines with a GPU" for name in written]
        case CompileJob():
            written = [name for name in ("release", "lto", "strip") if name in job.params.model_fields_set]
            return [f"ignores: compile {name}: the program is Python, not machine code" for name in written]
        case PrepDataJob() if "decontaminate" in job.params.steps and not job.against:
            return ["refuses: prep-data decontaminate: no benchmark in against"]
        case _:
            return []
