"""Benchmarks as test items: one a problem, and one for the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard import bench
from apr_leaderboard.collect.items import EvaluationItem, ProblemItem, Thresholds
from apr_leaderboard.pipeline import Evaluation, Workbench, mark_of

__all__ = ["BUILT_IN_FOLDER", "BuiltInSuites", "SuiteFile", "is_suite"]

BUILT_IN_FOLDER = Path(bench.__file__).parent
"""Stands for the benchmarks that have no file of their own: collecting it collects them."""


def is_suite(path: Path) -> bool:
    """Whether this file defines a benchmark, by its place."""
    return path.suffix == ".yaml" and path.parent.name == "suites"


class BuiltInSuites(pytest.Directory):
    """Every built-in benchmark that `-m` names."""

    def __init__(self, *, workbench: Workbench, names: tuple[str, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._workbench = workbench
        self._names = names

    def collect(self) -> Iterator[pytest.Collector]:
        """One collector a benchmark, called by its name, so that an item is `humaneval::HumanEval/0`."""
        for name in self._names:
            evaluations = self._workbench.standalone(name)
            yield Suite.from_parent(
                self, name=name, nodeid=name, workbench=self._workbench, evaluations=evaluations, mark=name
            )


class SuiteFile(pytest.File):
    """What a file in recipes/suites/ defines: a benchmark, or several asked together."""

    def __init__(self, *, workbench: Workbench, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._workbench = workbench

    def collect(self) -> Iterator[pytest.Item | pytest.Collector]:
        """A benchmark's problems, or a collector for each benchmark of a collection."""
        evaluations = self._workbench.standalone(self.path.stem)
        names = list(dict.fromkeys(evaluation.benchmark.name for evaluation in evaluations))
        if names == [self.path.stem]:
            yield from problems_of(self, evaluations, self._workbench, self.path.stem)
            return
        for name in names:
            own = tuple(evaluation for evaluation in evaluations if evaluation.benchmark.name == name)
            yield Suite.from_parent(self, name=name, workbench=self._workbench, evaluations=own, mark=self.path.stem)


class Suite(pytest.Collector):
    """A benchmark that is built in, or one of a collection's."""

    def __init__(self, *, workbench: Workbench, evaluations: tuple[Evaluation, ...], mark: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._workbench = workbench
        self._evaluations = evaluations
        self._mark = mark

    def collect(self) -> Iterator[pytest.Item]:
        """As `problems_of`."""
        return problems_of(self, self._evaluations, self._workbench, self._mark)


def problems_of(
    parent: pytest.Collector, evaluations: tuple[Evaluation, ...], workbench: Workbench, mark: str
) -> Iterator[pytest.Item]:
    """Each problem of one benchmark, asked of the user's model or completions on every engine, then the whole."""
    for evaluation in evaluations:
        tag = evaluation.engine_name if len(evaluations) > 1 else ""
        marks = list(dict.fromkeys([evaluation.mark, mark_of(mark)]))
        common: dict[str, Any] = {"workbench": workbench, "marks": marks}
        for index, problem in enumerate(evaluation.problems):
            name = f"{problem.task_id}[{tag}]" if tag else problem.task_id
            yield ProblemItem.from_parent(parent, name=name, evaluation=evaluation, index=index, **common)
        yield EvaluationItem.from_parent(
            parent,
            name=f"score[{tag}]" if tag else "score",
            evaluations=(evaluation,),
            plan=None,
            thresholds=Thresholds(min_pass=workbench.settings.min_pass),
            **common,
        )
