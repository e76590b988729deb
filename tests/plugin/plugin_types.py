"""Names of this folder's conftest that tests need for their annotations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

__all__ = ["Project"]


class Project(Protocol):
    """As `conftest.Project`."""

    path: Path
    pytester: pytest.Pytester

    def run(self, *words: str, workers: int = 0) -> pytest.RunResult:
        """pytest in a process of its own."""
        ...

    @property
    def calls(self) -> list[str]:
        """What the fake engine was asked to do so far."""
        ...

    def results(self, folder: str = "out") -> dict[str, Any]:
        """The results.json of the report in that folder."""
        ...

    def order(self, *lines: str) -> None:
        """Tell the fake engine how to misbehave."""
        ...
