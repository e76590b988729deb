"""What engines are known to do wrong: is each still there?"""

from __future__ import annotations

from pathlib import Path

from apr_leaderboard.criteria import TINY_MODEL, reproduce
from apr_leaderboard.engine import Engine
from apr_leaderboard.model.criterion import Defect


def test_a_known_defect_is_still_there(defect: Defect, defective: Engine, tmp_path: Path) -> None:
    """Strict: one that is mended must leave the list, or nobody would see it come back."""
    binary = getattr(defective, "binary", None)
    assert isinstance(binary, Path), f"{defect.engine} is no program that a command could start"
    version = defective.identity().version.split()[0]
    assert version in defect.versions, f"known of {', '.join(defect.versions)}; here is {version}: try it and say so"
    found = reproduce(defect, binary, tmp_path, Path(__file__).with_name(TINY_MODEL))
    assert found.there, found.statement(defect)
