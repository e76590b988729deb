"""What a submission says of a model: where it comes from, what was done with it, what it scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import Catalogue
from apr_leaderboard.model.recipe import Recipe
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.model.results import BenchmarkResult, CriterionResult, Results, RunInfo, StageResult
from apr_leaderboard.model.source import HubSource
from apr_leaderboard.model.stage import (
    AlignParams,
    DistillParams,
    FinetuneParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    StageParams,
)
from apr_leaderboard.pipeline import Plan
from apr_leaderboard.source import resolve_dataset, resolve_model

__all__ = ["UNKNOWN_LICENCE", "Input", "Submission", "inputs_of", "submission_of"]

UNKNOWN_LICENCE = "unknown"


@dataclass(frozen=True)
class Input:
    """Something the model was made from. `hub` is its repository there, where it has one."""

    kind: str
    name: str
    licence: str
    hub: str | None = None


@dataclass(frozen=True)
class Submission:
    """Everything the card tells and the checks look at. `stages` end with the one that made the model."""

    repo: str
    licence: str
    recipe: Recipe
    profile: str
    engine: EngineIdentity
    run: RunInfo
    stages: tuple[StageResult, ...]
    scores: tuple[BenchmarkResult, ...]
    baselines: tuple[BenchmarkResult, ...]
    criteria: tuple[CriterionResult, ...]
    inputs: tuple[Input, ...]

    @property
    def title(self) -> str:
        """For the head of the card."""
        return self.repo.rpartition("/")[2]

    @property
    def base(self) -> Input:
        """What the recipe started from."""
        return self.inputs[0]


def submission_of(plan: Plan, results: Results, catalogue: Catalogue, repo: str, licence: str | None) -> Submission:
    """Gather it from a run's results and the plan they came from.

    Raises `RequestError` where the plan makes no model, the results lack its stages, or no licence is known.
    """
    name, engine = plan.recipe.name, plan.engine.identity()
    if plan.made is None:
        raise RequestError(f"{name}: makes no model; accepted: a recipe with a stage that leaves one")
    stages = [stage for stage in results.stages if (stage.recipe, stage.engine) == (name, engine.name)]
    known = [stage.stage for stage in stages]
    last = plan.made.name.value
    if last not in known:
        raise RequestError(
            f"{name} by {engine.name}: the results hold no stage {last!r}; they hold: {', '.join(known)}"
        )
    mine = [one for one in results.benchmarks if (one.recipe, one.engine) == (name, engine.name)]
    inputs = inputs_of(plan, catalogue)
    chosen = licence or inputs[0].licence
    if chosen == UNKNOWN_LICENCE:
        raise RequestError(f"{inputs[0].name}: its licence is not known; accepted: --licence, with the model's own")
    return Submission(
        repo=repo,
        licence=chosen,
        recipe=plan.recipe,
        profile=plan.profile_name,
        engine=engine,
        run=results.run,
        stages=tuple(stages[: known.index(last) + 1]),
        scores=tuple(one for one in mine if one.after == last),
        baselines=tuple(one for one in mine if one.after != last),
        criteria=tuple(one for one in results.criteria if one.engine == engine.name),
        inputs=inputs,
    )


def inputs_of(plan: Plan, catalogue: Catalogue) -> tuple[Input, ...]:
    """The base model first, then every other model and dataset that the recipe's stages name."""
    profile = plan.recipe.profiles[plan.profile_name]
    found = [_model("base model", profile.model, catalogue)]
    for stage in plan.stages:
        found += _named_by(stage.params, plan, catalogue)
    return tuple(dict.fromkeys(found))


def _named_by(params: StageParams, plan: Plan, catalogue: Catalogue) -> Iterator[Input]:
    match params:
        case PrepDataParams() | FinetuneParams() | AlignParams():
            yield from _datasets("training data", (params.dataset,), plan, catalogue)
        case DistillParams():
            yield from _datasets("training data", (params.dataset,), plan, catalogue)
            for name in (params.teacher, *params.more_teachers):
                yield _model("teacher", name, catalogue)
        case MergeParams():
            for name in params.models:
                yield _model("merged model", name, catalogue)
        case PruneParams() if params.calibration:
            yield from _datasets("calibration data", (params.calibration,), plan, catalogue)
        case _:
            return


def _datasets(kind: str, names: tuple[str, ...], plan: Plan, catalogue: Catalogue) -> Iterator[Input]:
    for name in names:
        if name == "prepared":  # what prep-data left: the dataset it was made from is named there
            continue
        beside = plan.file.parent / name
        text = str(beside) if name not in catalogue.datasets and beside.is_file() else name
        entry = resolve_dataset(text, catalogue)
        yield Input(kind, name, entry.licence, _repo(entry.sources))


def _model(kind: str, name: str, catalogue: Catalogue) -> Input:
    entry = resolve_model(name, catalogue)
    return Input(kind, name, entry.licence, _repo(entry.sources))


def _repo(sources: tuple[object, ...]) -> str | None:
    return next((source.repo for source in sources if isinstance(source, HubSource)), None)
