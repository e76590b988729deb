"""The tools that the mission names: does the engine know them, and is each of its defects reproducible."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.model.criterion import load_defects
from apr_leaderboard.proof import Refuted

__all__ = ["MISSION", "reproducible", "subcommands"]

MISSION: Final = (
    "import", "check", "inspect", "run", "chat", "eval", "bench", "finetune", "distill", "merge", "prune", "quantize",
    "compile", "export", "publish", "compare-hf", "qa", "tune", "data",
)  # fmt: skip
"""The subcommands that the mission's page says were verified."""

_JOBS: Final = {"run": "generate", "chat": "generate", "eval": "perplexity", "data": "prep-data"}
_NO_JOB: Final = ("publish", "compare-hf", "qa", "tune")
"""Tools of the program that stand for no job of an engine: publishing is the suite's, comparing is AC-014's, and a
checklist and a tuner are the program's own."""
_SECONDS: Final = 60.0


def subcommands(trial: Trial) -> dict[str, bool]:
    """Each subcommand: does the engine do the job it stands for; of a program also: does it answer its --help.

    What stands for no job is asked of programs alone.
    """
    able = trial.sound_engine.capabilities()
    wired = {name: _JOBS.get(name, name) in able for name in MISSION if name not in _NO_JOB}
    program = getattr(trial.sound_engine, "binary", None)
    if not isinstance(program, Path):
        return wired
    return {name: _answers(trial, program, name) and wired.get(name, True) for name in MISSION}


def reproducible(trial: Trial) -> tuple[int, int]:
    """How many known defects have a command that starts their engine, and how many there are.

    Raises `Refuted` where the list cannot be read.
    """
    try:
        defects = load_defects(trial.root / "acceptance" / "known_defects.yaml").value.defects
    except FileFormatError as error:
        raise Refuted(f"the list of known defects cannot be read: {error}") from None
    commands = trial.given({one.id: one.command for one in defects})
    return sum(bool(re.search(rf"\b{one.engine} [a-z]", commands[one.id])) for one in defects), len(defects)


def _answers(trial: Trial, program: Path, name: str) -> bool:
    argv = (str(program), name, "--help")
    finished = run_command(Command(argv, timeout=_SECONDS, name=program.name))
    trial.commands.append(" ".join(argv))
    return finished.ok and "Usage:" in finished.stdout_tail
