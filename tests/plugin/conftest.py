"""Projects to run the plugin in, from outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_CONFTEST = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from fake_engine import FakeEngine

def pytest_apr_make_engine(name, options):
    return FakeEngine(Path({project!r}), name) if name in ("reference", "fake") else None

def pytest_apr_engine_names():
    return ["fake"]
"""

_RECIPE = """\
schema: 1
name: recipe-x-test
title: A test
stages: [import, finetune, eval]
profiles:
  smoke:
    model: smoke
    benchmarks: [smoke]
    finetune: {dataset: smoke-instruct}
    eval: {max_tokens: 64, min_solved: {smoke: 16}, max_baseline_solved: {smoke: 0}}
"""


class Project:
    """A folder with a recipe, the real suites and catalogue, a fake engine, and a store of its own."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path

    def run(self, *words: str, workers: int = 0) -> pytest.RunResult:
        """pytest in a process of its own."""
        spread = ("-n", str(workers)) if workers else ("-p", "no:xdist")
        return self.pytester.runpytest_subprocess(
            "-p", "no:cacheprovider", "--apr-store=store", *spread, *words, timeout=120
        )

    @property
    def calls(self) -> list[str]:
        """What the fake engine was asked to do so far."""
        file = self.path / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def results(self, folder: str = "out") -> dict[str, Any]:
        """The results.json of the report in that folder."""
        loaded: dict[str, Any] = json.loads((self.path / folder / "results.json").read_text())
        return loaded

    def order(self, *lines: str) -> None:
        """Tell the fake engine how to misbehave."""
        (self.path / "orders").write_text("\n".join(lines))


@pytest.fixture
def bare_project(pytester: pytest.Pytester, project_root: Path) -> pytest.Pytester:
    """A project with the real catalogue and suites, and no recipe."""
    recipes = pytester.path / "recipes"
    recipes.mkdir()
    for name in ("catalogue.yaml", "suites", "data"):
        (recipes / name).symlink_to(project_root / "recipes" / name)
    return pytester


@pytest.fixture
def project(bare_project: pytest.Pytester) -> Project:
    """The same with a recipe and the fake engine."""
    here = str(Path(__file__).parent)
    bare_project.makeconftest(_CONFTEST.format(here=here, project=str(bare_project.path)))
    bare_project.makeini("[pytest]\naddopts = --strict-markers\n")
    (bare_project.path / "recipes" / "recipe-x-test.yaml").write_text(_RECIPE)
    return Project(bare_project)


@pytest.fixture
def rows(project_root: Path) -> list[dict[str, Any]]:
    """The smoke suite's problems."""
    file = project_root / "recipes" / "suites" / "smoke.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]
