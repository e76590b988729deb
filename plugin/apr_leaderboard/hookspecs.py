"""Hooks this plugin offers to other plugins and to conftest.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from apr_leaderboard.engine import Engine
    from apr_leaderboard.options import Options
    from apr_leaderboard.proof import Check


@pytest.hookspec(firstresult=True)
def pytest_apr_make_engine(name: str, options: Options) -> Engine | None:
    """Make the engine called `name`, or return None to leave it to others.

    Example, in a conftest.py::

        def pytest_apr_make_engine(name, options):
            if name == "mine":
                return MyEngine()
    """
    raise AssertionError("a specification is never called")


def pytest_apr_engine_names() -> list[str]:
    """Name the engines this plugin can make; shown when an unknown one is asked for.

    Example, in a conftest.py::

        def pytest_apr_engine_names():
            return ["mine"]
    """
    raise AssertionError("a specification is never called")


def pytest_apr_suite_folders() -> Sequence[Path]:
    """Name folders called `suites` with benchmarks (NAME.yaml) beside the project's own recipes/suites.

    Where a name is in several, the project's own comes first.

    Example, in a plugin::

        def pytest_apr_suite_folders():
            return [Path(__file__).parent / "suites"]
    """
    raise AssertionError("a specification is never called")


def pytest_apr_checks(contract: str) -> Sequence[Check]:
    """Offer checks for the falsification tests of contracts/<contract>.yaml, by their ids.

    Example, in a conftest.py::

        def pytest_apr_checks(contract):
            if contract == "mine":
                return [proved("FALSIFY-MINE-001", no_result_is_negative, my_function, my_broken_function)]
            return []
    """
    raise AssertionError("a specification is never called")
