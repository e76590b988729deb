"""What `apr` 0.72.3 refuses or passes over, told before an hour is lost on it.

Each line was seen with that version (docs/apr-findings.md) and is for the plan only: a run always asks the program.
"""

from __future__ import annotations

from typing import Final

from apr_leaderboard.engine.apr.distilling import ignored_by_distill
from apr_leaderboard.engine.apr.surgery_argv import ignored_by_surgery
from apr_leaderboard.engine.apr.training import ignored_by_finetune
from apr_leaderboard.engine.jobs import (
    AlignJob,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    ImportJob,
    Job,
    MergeJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)

__all__ = ["refusals_of_apr"]

_SCHEMES: Final = ("int8", "int4", "fp16", "q4k")
_TASKS: Final = {
    "instruct": "Instruction fine-tuning (--task instruct) requires unreleased entrenar APIs",
    "classify": "Failed to load corpus: missing field `input` (it wants classes, not responses)",
}


def refusals_of_apr(job: Job) -> tuple[str, ...]:
    """One line each, as `engine.refusals` says."""
    match job:
        case ImportJob():
            gguf = job.source.format == "gguf" and job.params.quantization == "keep"
            return ("ignores: import quantization keep: block formats are stored as float32",) if gguf else ()
        case PrepDataJob():
            return tuple(_prep_data(job))
        case DistillJob():
            trains = (
                "distill temperature, alpha, epochs, data: its default backend `fixture` returns the student as it is"
            )
            return (f"ignores: {trains}", *_ignored("distill", ignored_by_distill(job)))
        case FinetuneJob() | AlignJob():
            return tuple(_finetune(job))
        case MergeJob():
            return _ignored("merge", ignored_by_surgery(job))
        case PruneJob():
            return tuple(_prune(job))
        case QuantizeJob(params=params) if params.scheme not in _SCHEMES:
            return (f"refuses: quantize --scheme {params.scheme}: Supported: {', '.join(_SCHEMES)}",)
        case CompileJob():
            return ("ignores: the prompt: the program that compile leaves answers every prompt with the same text",)
        case GenerateJob(params=params) if params.draft_tokens:
            return ("ignores: generate draft_tokens: it takes no draft, and decodes token by token",)
        case ExportJob(format="hf"):
            return ("ignores: export config: config.json is guessed from shapes, and no tokenizer.json is written",)
        case _:
            return ()


def _ignored(op: str, told: list[str]) -> tuple[str, ...]:
    return tuple(f"ignores: {op} {line}" for line in told)


def _prep_data(job: PrepDataJob) -> list[str]:
    told = []
    if "decontaminate" in job.params.steps:
        told.append(
            "ignores: prep-data decontaminate: it counts, in runs of letters rather than words, and drops nothing"
        )
    if "quality" in job.params.steps:
        told.append("ignores: prep-data quality of code: filter-text looks at words, as in prose")
    return told


def _finetune(job: FinetuneJob | AlignJob) -> list[str]:
    params = job.params
    told = []
    if isinstance(job, AlignJob):
        accepted = "Use: auto, full, lora, qlora"
        told.append(
            f"refuses: finetune --method {params.method}: Unknown fine-tuning method: {params.method}. {accepted}"
        )
    elif params.task in _TASKS:
        told.append(f"refuses: finetune --task {params.task}: {_TASKS[params.task]}")
    if job.model.format != "apr":
        told.append(f"refuses: finetune of {job.model.format}: Fine-tuning requires an APR base model")
    return [*told, *(f"ignores: finetune {message}" for _, message in ignored_by_finetune(params))]


def _prune(job: PruneJob) -> list[str]:
    told = []
    if job.calibration is not None:
        told.append("refuses: prune --calibration: not yet implemented")
    if job.params.method == "depth":
        told.append("refuses: prune --method depth: it wants --remove-layers, and finds none itself")
    elif job.params.method != "magnitude":
        told.append(f"ignores: prune method {job.params.method}: the smallest weights go, as with magnitude")
    return [*told, *_ignored("prune", ignored_by_surgery(job))]
