"""A compiled program on its own: copied alone into an empty folder, and started with nothing of ours around it."""

from __future__ import annotations

import io
import json
import shutil
import sys
import zipfile
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import numpy as np

from apr_leaderboard.engine.process import Command, run_command
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof.check import Refuted
from apr_leaderboard.proof.lab import Lab, Made
from apr_leaderboard.proof.nothere import NotHere
from apr_leaderboard.proof.weights import Tensors

__all__ = ["alone", "answer_alone", "contents", "program_of"]

_SECONDS: Final = 180.0


def program_of(made: Made) -> Path:
    """The one file that compile left. Raises `HarnessError`."""
    if made.checkpoint is None or made.checkpoint.format != "program":
        raise HarnessError("the job left no program")
    return made.checkpoint.path


def alone(program: Path, lab: Lab) -> Path:
    """A copy in a folder of its own, which may be written to."""
    copy = Path(shutil.copy2(program, mkdtemp(dir=lab.folder)))
    copy.chmod(0o755)
    return copy


def answer_alone(program: Path, prompt: str, max_tokens: int, *, seconds: float = _SECONDS) -> str:
    """What the program says in its own folder within `seconds`, with PATH and nothing else in its environment.

    Raises `Refuted` where it says nothing.
    """
    path = f"PATH={Path(sys.executable).parent}:/usr/bin:/bin"
    words = ("/usr/bin/env", "-i", path, str(program), "--prompt", prompt, "--max-tokens", str(max_tokens))
    finished = run_command(Command(words, cwd=program.parent, timeout=seconds, name=program.name))
    if not finished.ok:
        how = "no answer in time" if finished.timed_out else f"exit code {finished.exit_code}"
        raise Refuted(f"the program does not answer alone: {how}: {finished.stderr_tail.strip()[-200:]}")
    return finished.stdout_tail.removesuffix("\n")


def contents(program: Path) -> tuple[dict[str, Any], Tensors]:
    """What a program that is an archive holds: its shape by the reference engine's names, and its weights in float32.

    Raises `NotHere` for machine code, which shows neither.
    """
    if not zipfile.is_zipfile(program):
        raise NotHere("needs a program that shows what is in it: machine code does not")
    with zipfile.ZipFile(program) as archive:
        shape = dict(json.loads(archive.read("model.json"))["shape"])
        names = [name for name in archive.namelist() if name.startswith("weights/")]
        weights = {_plain(name): np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names}
    return shape, {name: values.astype(np.float32) for name, values in weights.items()}


def _plain(member: str) -> str:
    return member.removeprefix("weights/").removesuffix(".npy")
