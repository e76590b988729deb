"""From a plan and a run's results to the folder: the one way, for the command and for the recipe's stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apr_leaderboard.engine.dataset import read_rows
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import Results
from apr_leaderboard.model.stage import PREPARED, AlignParams, DistillParams, FinetuneParams, StageName
from apr_leaderboard.pipeline import Plan, Workbench, checkpoint_of, export_step
from apr_leaderboard.report.submission.checks import Check, check_submission
from apr_leaderboard.report.submission.facts import Submission, submission_of
from apr_leaderboard.report.submission.folder import write_submission

__all__ = ["Written", "make_submission", "model_export"]


@dataclass(frozen=True)
class Written:
    """A folder as written, and what the checks came to."""

    submission: Submission
    checks: tuple[Check, ...]
    folder: Path
    files: tuple[str, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """Those that keep it from being uploaded."""
        return tuple(check for check in self.checks if check.holds is False)


def model_export(workbench: Workbench, plan: Plan) -> Path:
    """The recipe's model as SafeTensors, exported now if the store does not hold it. Raises as `Runner.run`."""
    if plan.made is None or plan.made.step is None:
        raise RequestError(f"{plan.recipe.name}: makes no model; accepted: a recipe with a stage that leaves one")
    return checkpoint_of(workbench.runner.run(export_step("export", plan.made.step, plan.engine))).path


def make_submission(
    workbench: Workbench, plan: Plan, results: Results, out: Path, *, repo: str, licence: str | None
) -> Written:
    """Export, check, write. Raises `RequestError`, what an engine raises, and as `Workbench.sources` and the store."""
    submission = submission_of(plan, results, workbench.sources.catalogue, repo, licence)
    model = model_export(workbench, plan)
    assert plan.made is not None
    assert plan.made.step is not None
    digest = workbench.runner.run(plan.made.step).entry.digest
    data = list(_training_files(workbench, plan))
    corpus = (row.text for file in data for row in read_rows(file)) if data else None
    checks = check_submission(submission, model, digest, corpus, _problem_texts(plan))
    return Written(submission, checks, out, write_submission(submission, model, checks, out))


def _training_files(workbench: Workbench, plan: Plan) -> Iterator[Path]:
    """What stages were trained on, as they read it: after prep-data, where they take what that left."""
    for stage in plan.stages:
        if not isinstance(stage.params, FinetuneParams | AlignParams | DistillParams):
            continue
        if stage.params.dataset != PREPARED:
            yield workbench.sources.dataset(stage.params.dataset, plan.file.parent).path
            continue
        prepared = plan.stage(StageName.PREP_DATA).step
        assert prepared is not None
        yield checkpoint_of(workbench.runner.run(prepared)).path


def _problem_texts(plan: Plan) -> dict[str, dict[str, str]]:
    """What must not stand in the training data: each problem, and each solution, of the benchmarks asked."""
    texts: dict[str, dict[str, str]] = {}
    for stage in plan.stages:
        for evaluation in stage.evaluations:
            known = texts.setdefault(evaluation.benchmark.name, {})
            for problem in evaluation.problems:
                known[problem.task_id] = problem.prompt
                known[f"{problem.task_id} solution"] = problem.canonical or ""
    return texts
