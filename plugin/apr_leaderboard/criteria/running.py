"""Recipes run whole, and programs run alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.proof import Refuted, alone
from apr_leaderboard.proof.lab import Made

__all__ = ["answer_alone", "stages_done"]

_SECONDS: Final = 600.0


def answer_alone(made: Made, prompt: str, n_tokens: int = 16) -> tuple[str, int]:
    """What a compiled program says to a prompt, alone in an empty folder, started with PATH and nothing else.

    And its size in bytes. Raises `Refuted` where it does not answer.
    """
    if made.checkpoint is None:
        raise Refuted("compile left no program")
    with TemporaryDirectory(prefix="apr-alone-") as folder:
        program = Path(shutil.copy2(made.checkpoint.path, folder))
        program.chmod(0o755)
        size = program.stat().st_size
        answer = alone.answer_alone(program, prompt, n_tokens, seconds=_SECONDS).strip()
    if not answer:
        raise Refuted("the program ends well and says nothing")
    return answer, size


def stages_done(trial: Trial, recipe: str) -> list[str]:
    """Every stage of a recipe that is done, in order; the first that is not raises what it raised."""
    done = []
    for stage in trial.plan(recipe).stages:
        if stage.step is not None:
            trial.note(trial.workbench.runner.run(stage.step))
        for evaluation in stage.evaluations:
            score = trial.workbench.score(evaluation)
            trial.all_cached = trial.all_cached and score.cached
            trial.tell(f"solved: {evaluation.title}", score.n_solved)
        done.append(stage.name.value)
    return done
