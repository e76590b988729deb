"""Is a known defect still there: its command, run as a stranger would run it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.model.criterion import Defect

__all__ = ["TINY_MODEL", "Reproduced", "reproduce"]

TINY_MODEL = "tiny_model.py"
"""The script that makes small models, beside the known defects; python3 alone runs it."""

_SHOWN = 3000


@dataclass(frozen=True)
class Reproduced:
    """How a defect's command ended, and whether it shows the defect."""

    there: bool
    exit_code: int | None
    output: str

    def statement(self, defect: Defect) -> str:
        """For a report: what ran, what came, what was expected."""
        state = "still there" if self.there else "no longer there, or changed: the entry must go"
        return (
            f"{defect.id} ({', '.join(defect.criteria)}): {state}\n{defect.command.rstrip()}\n"
            f"ended with {self.exit_code}:\n{self.output[-_SHOWN:]}\n"
            f"known: exit code {defect.shown.exit_code} and {defect.shown.output!r}\nexpected: {defect.expected}"
        )


def reproduce(defect: Defect, binary: Path, folder: Path, tiny_model: Path) -> Reproduced:
    """Run the defect's command in the empty folder `folder`, with the engine first on PATH under its own name."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (programs / defect.engine).symlink_to(binary)
    work = folder / "work"
    work.mkdir()
    shutil.copyfile(tiny_model, work / TINY_MODEL)
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = Command(
        ("sh", "-c", defect.command), cwd=work, env={"PATH": path}, timeout=defect.seconds, name=defect.engine
    )
    finished = run_command(command)
    output = f"{finished.stdout_tail}\n{finished.stderr_tail}"
    there = finished.exit_code == defect.shown.exit_code and bool(re.search(defect.shown.output, output))
    return Reproduced(there, finished.exit_code, output.strip())
