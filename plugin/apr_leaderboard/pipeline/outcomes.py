"""The figures that alerts may look at once a stage is over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from apr_leaderboard.engine.jobs import CompileJob
from apr_leaderboard.pipeline.answers import GeneratedAnswers
from apr_leaderboard.pipeline.steps import Done
from apr_leaderboard.pipeline.workbench import EvaluationScore
from apr_leaderboard.store import Store

__all__ = ["evaluation_outcomes", "stage_outcomes"]

_MB = 1e6


def stage_outcomes(done: Done) -> dict[str, float]:
    """`binary_size_mb` (1e6 bytes) of a program that compile left; nothing for other stages."""
    record = done.record
    if record.op != CompileJob.op or record.checkpoint is None:
        return {}
    return {"binary_size_mb": _bytes(done.entry.path / record.checkpoint) / _MB}


def evaluation_outcomes(scores: Sequence[EvaluationScore], store: Store) -> dict[str, float]:
    """`pass_at_1` (percent) on the first benchmark of the model a recipe made, and that model's `model_size_mb`.

    A recipe's alerts are written with one benchmark in mind, and it is the one it names first.
    """
    final = next((score for score in scores if not score.evaluation.is_baseline), None)
    if final is None:
        return {}
    found = {} if final.pass_at_1 is None else {"pass_at_1": round(100 * final.pass_at_1, 6)}
    answers = final.evaluation.answers
    if isinstance(answers, GeneratedAnswers):
        found["model_size_mb"] = _bytes(answers.step.upstream[0].planned(store).path) / _MB
    return found


def _bytes(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
