"""Speculative decoding: does an engine take a draft model at all, and what does it say if not."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from apr_leaderboard.criteria.hardware import backend_used
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.proof import NotHere, Refuted

__all__ = ["speed_with_and_without_a_draft"]

_FLAGS: Final = ("--draft-model", "--speculative")
_SECONDS: Final = 60.0
_USAGE: Final = 2


def speed_with_and_without_a_draft(trial: Trial) -> tuple[float, float]:
    """Tokens a second, plain and drafted.

    The plain speed is told with its backend. Raises `NotHere` for an engine of ours, which has no words of its own,
    `EngineRefusedError` with the program's words where it takes no draft, and `Refuted` where it takes one that
    nothing here can measure: then the criterion is no longer blocked, and this is to be written.
    """
    if trial.saboteur is not None:
        plain, drafted = trial.given((1.0, 1.5))
        return plain, drafted
    trial.tell("backend that was used", backend_used(trial)[0])
    program = getattr(trial.sound_engine, "binary", None)
    if not isinstance(program, Path):
        raise NotHere(f"needs an engine that takes a draft model: {trial.sound_engine.name} has none")
    model = trial.model()
    assert model.checkpoint is not None
    said = []
    for flag in _FLAGS:
        argv = (str(program), "run", str(model.checkpoint.path), "--prompt", "def", "--max-tokens", "4", flag)
        full = (*argv, str(model.checkpoint.path)) if flag == "--draft-model" else argv
        finished = run_command(Command(full, timeout=_SECONDS, name=trial.sound_engine.name))
        trial.commands.append(" ".join(full))
        if finished.exit_code != _USAGE:
            raise Refuted(f"{flag} is taken (exit code {finished.exit_code}): speculative decoding is to be measured")
        said.append(finished.stderr_tail.strip().splitlines()[0])
    raise EngineRefusedError(trial.sound_engine.name, "; ".join(said), exit_code=_USAGE)
