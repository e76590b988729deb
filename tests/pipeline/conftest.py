"""A project without pytest around it: recipes run through the workbench, on the fake engine of the plugin's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from apr_leaderboard.pipeline import Settings, Workbench

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugin"))


class Bench:
    """A folder with the real catalogue, suites and data, a store, and recipes as a test writes them."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recipe(self, name: str, text: str) -> None:
        """Write a recipe; `recipe-z-long` in its text becomes its name."""
        (self.path / "recipes" / f"{name}.yaml").write_text(text.replace("recipe-z-long", name))

    def order(self, *lines: str) -> None:
        """Tell the fake engine how to misbehave."""
        (self.path / "orders").write_text("\n".join(lines))

    @property
    def calls(self) -> list[str]:
        """What the fake engine was asked to do so far."""
        file = self.path / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def workbench(self, store: str = "store") -> Workbench:
        """As one run of pytest has it."""
        from fake_engine import FakeEngine

        return Workbench(
            root=self.path,
            store_root=self.path / store,
            run_folder=self.path / store / "runs" / f"run{len(self.calls)}",
            settings=Settings(engines=("reference",)),
            make_engine=lambda name: FakeEngine(self.path, name),
        )


@pytest.fixture
def bench(tmp_path: Path, project_root: Path) -> Bench:
    """A fresh one."""
    recipes = tmp_path / "recipes"
    recipes.mkdir()
    for name in ("catalogue.yaml", "suites", "data"):
        (recipes / name).symlink_to(project_root / "recipes" / name)
    return Bench(tmp_path)
