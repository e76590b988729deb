"""recipes/recipe-*.yaml as test items."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.collect.items import EvaluationItem, ProblemItem, StageItem, Thresholds
from apr_leaderboard.collect.submitting import SubmitItem
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.model.stage import EvalParams, SubmitParams
from apr_leaderboard.pipeline import Plan, PlannedStage, Workbench

__all__ = ["RecipeFile", "is_recipe"]


def is_recipe(path: Path) -> bool:
    """Whether this file is a recipe, by its name."""
    return path.suffix == ".yaml" and path.name.startswith("recipe-")


class RecipeFile(pytest.File):
    """One recipe: its stages in order, on every engine asked for."""

    def __init__(self, *, workbench: Workbench, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.workbench = workbench

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """Stages, then each problem of its benchmarks, then the verdict of eval."""
        loaded = load_recipe(self.path)
        engines = self.workbench.engines
        for engine in engines:
            plan = self.workbench.plan(loaded, engine)
            tag = engine.name if len(engines) > 1 else ""
            for stage in plan.stages:
                yield from self._stage(plan, stage, tag)

    def _stage(self, plan: Plan, stage: PlannedStage, tag: str) -> Iterator[pytest.Item | pytest.Collector]:
        marks = [*plan.recipe.marks, "stage_" + stage.name.value.replace("-", "_")]
        common: dict[str, Any] = {"workbench": self.workbench, "marks": marks}
        name = _tagged(stage.name.value, tag)
        if stage.step is not None:
            kind = SubmitItem if isinstance(stage.params, SubmitParams) else StageItem
            yield kind.from_parent(self, name=name, plan=plan, stage=stage, **common)
            return
        assert isinstance(stage.params, EvalParams)
        yield EvalProblems.from_parent(self, name=stage.name.value, stage=stage, tag=tag, common=common)
        thresholds = Thresholds(stage.params.min_solved, stage.params.max_baseline_solved)
        yield EvaluationItem.from_parent(
            self, name=name, evaluations=stage.evaluations, plan=plan, thresholds=thresholds, **common
        )


class EvalProblems(pytest.Collector):
    """The problems an eval stage asks, one item each."""

    def __init__(self, *, stage: PlannedStage, tag: str, common: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._stage = stage
        self._tag = tag
        self._common = common

    def collect(self) -> Iterator[pytest.Item]:
        """Baseline first, then the recipe's own model."""
        for evaluation in self._stage.evaluations:
            common = {**self._common, "marks": [*self._common["marks"], evaluation.mark]}
            tag = "-".join(filter(None, [evaluation.after if evaluation.is_baseline else "", self._tag]))
            for index, problem in enumerate(evaluation.problems):
                name = _tagged(problem.task_id, tag)
                yield ProblemItem.from_parent(self, name=name, evaluation=evaluation, index=index, **common)


def _tagged(name: str, tag: str) -> str:
    return f"{name}[{tag}]" if tag else name
