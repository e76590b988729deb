"""Perplexity after every stage, where a recipe asks for it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin_types import Project


@pytest.fixture
def measured(project: Project) -> Project:
    """The project's recipe, asking for perplexity on the held-out text."""
    recipe = project.path / "recipes" / "recipe-x-test.yaml"
    text = recipe.read_text()
    recipe.write_text(text.replace("eval: {", "eval: {perplexity: smoke-heldout, "))
    return project


def _stages(project: Project) -> dict[str, Any]:
    results = json.loads((project.path / "out" / "results.json").read_text())
    return {stage["stage"]: stage for stage in results["stages"]}


@pytest.mark.slow
def test_perplexity_stands_with_each_stage_that_leaves_a_model(measured: Project) -> None:
    """Measured once by the same engine, kept in the store, listed in the plan."""
    plan = measured.run("-m", "recipe_x_test", "--apr-plan")
    plan.stdout.fnmatch_lines(["*perplexity after import: to do*", "*perplexity after finetune: to do*"])
    for _ in range(2):
        assert measured.run("-m", "recipe_x_test", "--apr-report=out").ret == 0
        figures = {name: stage["figures"].get("perplexity") for name, stage in _stages(measured).items()}
        assert figures == {"import": 12.0, "finetune": 3.0, "eval": None}
    assert measured.calls.count("perplexity") == 2


def test_engine_that_fails_to_say_leaves_a_warning_and_the_stage_passes(measured: Project) -> None:
    """No figure, never a made-up one."""
    measured.order("fail perplexity")
    assert measured.run("-m", "recipe_x_test", "--apr-report=out").ret == 0
    stage = _stages(measured)["finetune"]
    assert stage["outcome"] == "passed"
    assert "perplexity" not in stage["figures"]
    assert any("perplexity not measured: " in line for line in stage["warnings"])
