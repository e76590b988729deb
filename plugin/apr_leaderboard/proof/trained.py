"""What stages make of the suite's trained models, in the very steps that recipes have: each is done once for both."""

from __future__ import annotations

from typing import Final, TypeVar

from apr_leaderboard.model.stage import (
    AlignParams,
    CompileParams,
    DistillParams,
    FinetuneParams,
    PruneParams,
    QuantizeParams,
    StageParams,
)
from apr_leaderboard.pipeline.binding import Needs, bind_stage
from apr_leaderboard.proof.lab import Lab, Made

__all__ = [
    "ALIGN", "COMPILE", "DISTILL", "FINETUNE_ON", "PRUNE", "PRUNE_TOO_MUCH", "QUANTIZE", "SPECIALIST", "STUDENT",
    "TEACHER", "harmful", "staged",
]  # fmt: skip

TEACHER: Final = "smoke-teacher"
STUDENT: Final = "smoke"
SPECIALIST: Final = "smoke-specialist-a"
"""Knows some of what the teacher knows, so that it can both learn and forget."""

_HARMFUL_RATE: Final = 0.1

ALIGN: Final = AlignParams(
    method="dpo", dataset="smoke-preferences", rank=16, learning_rate=5e-4, epochs=1, beta=0.1, max_seq_len=192
)
COMPILE: Final = CompileParams(output="model")
DISTILL: Final = DistillParams(
    teacher=TEACHER, strategy="progressive", temperature=3.0, alpha=0.7, dataset="smoke-subset", learning_rate=1e-3,
    epochs=1, max_seq_len=192,
)  # fmt: skip
FINETUNE_ON: Final = FinetuneParams(
    method="lora", dataset="smoke-subset", rank=16, learning_rate=1e-3, epochs=1, max_seq_len=192
)
PRUNE: Final = PruneParams(method="wanda", target_ratio=0.2, calibration="smoke-heldout")
PRUNE_TOO_MUCH: Final = PRUNE.model_copy(update={"target_ratio": 0.8})
QUANTIZE: Final = QuantizeParams(scheme="q4k")

Training = TypeVar("Training", AlignParams, DistillParams, FinetuneParams)


def harmful(params: Training) -> Training:
    """The same training, in steps so large that the model forgets all it knew."""
    return params.model_copy(update={"learning_rate": _HARMFUL_RATE})


def staged(lab: Lab, name: str, *stages: StageParams) -> Made:
    """A model of the catalogue by name, after stages done on it by the engine, one after another.

    Raises `NotHere` where something of it would have to be made and nobody waits, and whatever the engine does.
    """
    made = lab.named(name)
    sources = lab.workbench.sources
    for params in stages:
        needs = Needs(
            lab.engine,
            made.upstream,
            dataset=lambda _, dataset: sources.dataset(dataset, lab.root),
            model=lambda _, model: sources.model(model, fetch_unknown=True),
        )
        step = bind_stage(
            f"{type(params).__name__.removesuffix('Params').lower()} of {name}", params, made.upstream, needs
        )
        lab.need(step.node, f"{name} after {step.node.op}, which takes a while")
        made = lab.done(step)
    return made
