"""Recipes run whole, and programs run alone."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.lab import Made

__all__ = ["answer_alone", "stages_done"]

_SECONDS: Final = 600.0
_TOKENS: Final = 16


def answer_alone(made: Made, prompt: str) -> tuple[str, int]:
    """What a compiled program says to a prompt, alone in an empty folder, started with PATH and nothing else.

    And its size in bytes. Raises `Refuted` where it does not answer.
    """
    if made.checkpoint is None:
        raise Refuted("compile left no program")
    with TemporaryDirectory(prefix="apr-alone-") as folder:
        alone = Path(shutil.copy2(made.checkpoint.path, folder))
        alone.chmod(0o755)
        size = alone.stat().st_size
        path = f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"
        words = ("/usr/bin/env", "-i", path, str(alone), "--prompt", prompt, "--max-tokens", str(_TOKENS))
        finished = run_command(Command(words, cwd=Path(folder), timeout=_SECONDS, name=alone.name))
    if not finished.ok:
        how = "not done in time" if finished.timed_out else f"exit code {finished.exit_code}"
        raise Refuted(f"the program does not answer alone: {how}: {finished.stderr_tail.strip()[-300:]}")
    answer = finished.stdout_tail.strip()
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
