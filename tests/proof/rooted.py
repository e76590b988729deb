"""A lab that makes nothing, and what its checks are asked of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.proof import Check, Lab, built_in_checks
from apr_leaderboard.proof.lab import Made

__all__ = ["Rooted", "check_of", "made_at"]


class Rooted(Lab):
    """A lab in a project folder, with an engine of one's choice, that makes nothing."""

    def __init__(self, root: Path, engine: str = "reference") -> None:
        super().__init__(lambda: cast(Any, SimpleNamespace(root=root, engines=(SimpleNamespace(name=engine),))))
        self.folder = root


def check_of(contract: str, id_: str) -> Check:
    """One of the project's checks."""
    return next(check for check in built_in_checks(contract) if check.id == id_)


def made_at(path: Path) -> Made:
    """A job that left this as its checkpoint."""
    return Made(cast(Any, None), path.parent, Checkpoint(path, "hf"))
