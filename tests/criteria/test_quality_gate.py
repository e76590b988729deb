"""The project's own quality gate counts what its tools find, and does not take a tool's silence for cleanness."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from apr_leaderboard.criteria import Asked, Trial
from apr_leaderboard.criteria.quality import findings_of, needed_packages, quality_counts, sources_digest
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.proof import NotHere


def test_findings_of_a_tool_come_with_its_exit_code(tmp_path: Path) -> None:
    """A file that is not clean, and one that is."""
    pytest.importorskip("ruff")
    (tmp_path / "one.py").write_text("import os\n")
    code, said = findings_of(tmp_path, "ruff", "check", ".", "--isolated", "--output-format", "concise")
    assert (code, "one.py:1:8: F401" in said) == (1, True)
    (tmp_path / "one.py").write_text("x = 1\n")
    assert findings_of(tmp_path, "ruff", "check", ".", "--isolated")[0] == 0


def test_findings_of_a_tool_that_is_not_installed_are_our_trouble(tmp_path: Path) -> None:
    """Not a clean gate."""
    with pytest.raises(HarnessError, match="no_such_tool cannot be run"):
        findings_of(tmp_path, "no_such_tool", "check")


def test_quality_of_a_folder_that_is_no_checkout_is_not_here(tmp_path: Path) -> None:
    """An installed package has no sources to look at."""
    workbench = cast(Workbench, SimpleNamespace(root=tmp_path))
    with pytest.raises(NotHere, match="the project's own checkout"):
        quality_counts(Trial(workbench, Asked("AC-013", "test_it", "suite", "-"), tmp_path))


def test_sources_digest_tells_a_changed_file_and_a_new_name(tmp_path: Path) -> None:
    """So that a gate is asked anew."""
    (tmp_path / "one.py").write_text("x = 1\n")
    first = sources_digest(tmp_path, "*.py")
    (tmp_path / "one.py").write_text("x = 2\n")
    second = sources_digest(tmp_path, "*.py")
    (tmp_path / "one.py").rename(tmp_path / "two.py")
    assert len({first, second, sources_digest(tmp_path, "*.py")}) == 3


def test_needed_packages_of_the_project_name_what_it_cannot_go_without() -> None:
    """With a licence in words."""
    assert needed_packages("apr-leaderboard")["pydantic"]
