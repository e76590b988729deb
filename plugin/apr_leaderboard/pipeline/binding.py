"""How a stage's parameters become a job: which operation, which other models and data it needs, how it is bound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from apr_leaderboard.engine.jobs import (
    AlignJob,
    Checkpoint,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    ImportJob,
    Job,
    MergeJob,
    PerplexityJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.protocol import Engine
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.stage import (
    PREPARED,
    AlignParams,
    CompileParams,
    DistillParams,
    ExportParams,
    FinetuneParams,
    ImportParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
    StageParams,
    SubmitParams,
)
from apr_leaderboard.pipeline.fetched import Dataset
from apr_leaderboard.pipeline.steps import EngineStep, Upstream
from apr_leaderboard.store import Node

__all__ = ["Needs", "bind_stage", "export_step", "perplexity_step"]


@dataclass(frozen=True)
class Needs:
    """What a stage may ask for by name, the model as it came in, and the dataset that prep-data left, if it ran.

    `dataset` and `model` take the key in the stage's parameters that names it, for messages, and the name.
    """

    engine: Engine
    imported: Upstream
    dataset: Callable[[str, str], Dataset]
    model: Callable[[str, str], Upstream]
    prepared: Upstream | None = None
    dry: bool = False

    def data(self, key: str, name: str) -> tuple[Path, str]:
        """Where a dataset is (in a plan: will be), and its digest."""
        dataset = self.dataset(key, name)
        if self.dry:
            place = dataset.place()
            return place, dataset.digest if place.exists() else f"not fetched yet: {name}"
        return dataset.path, dataset.digest

    def import_of(self, key: str, name: str, params: ImportParams) -> Upstream:
        """Another model, imported by the same engine."""
        binding = _Binding(ImportJob.op, lambda models: ImportJob(models[0], params), params.model_dump(mode="json"))
        return _step(f"import {name}", self.engine, self.model(key, name), binding)


@dataclass(frozen=True)
class _Binding:
    """A stage on its way to being a step. `make` takes the model at hand and then those in `beside`."""

    op: str
    make: Callable[[tuple[Checkpoint, ...]], Job]
    params: dict[str, object]
    beside: tuple[tuple[str, Upstream], ...] = ()
    data: dict[str, str] = field(default_factory=dict)


def bind_stage(label: str, params: StageParams, at: Upstream, needs: Needs) -> EngineStep:
    """The step that does a stage on the model `at`. Raises `RequestError` for a name that stands for nothing."""
    match params:
        case ImportParams():
            binding = _Binding(ImportJob.op, lambda models: ImportJob(models[0], params), _plain(params))
        case PrepDataParams():
            return _prep_data(label, params, needs)
        case DistillParams():
            binding = _distill(params, needs)
        case FinetuneParams() | AlignParams():
            binding = _train(params, needs)
        case MergeParams():
            binding = _merge(params, needs)
        case PruneParams():
            binding = _prune(params, needs)
        case QuantizeParams():
            binding = _Binding(QuantizeJob.op, lambda models: QuantizeJob(models[0], params), _plain(params))
        case CompileParams():
            binding = _Binding(CompileJob.op, lambda models: CompileJob(models[0], params), _plain(params))
        case ExportParams():
            binding = _Binding(ExportJob.op, lambda models: ExportJob(models[0], params.format), _plain(params))
        case SubmitParams():
            return export_step(label, at, needs.engine)
        case _:
            raise AssertionError(f"{label} is no stage that one step does")
    return _step(label, needs.engine, at, binding)


def export_step(label: str, at: Upstream, engine: Engine) -> EngineStep:
    """The step that writes a model as SafeTensors, the very one that an export stage is."""
    params = ExportParams()
    binding = _Binding(ExportJob.op, lambda models: ExportJob(models[0], params.format), _plain(params))
    return _step(label, engine, at, binding)


def perplexity_step(stage: str, at: EngineStep, text: str, needs: Needs) -> EngineStep:
    """The step that measures the perplexity of what a stage left. Raises as `bind_stage`."""
    place, digest = needs.data("perplexity", text)
    params: dict[str, object] = {"window": PerplexityJob.window, "max_tokens": PerplexityJob.max_tokens}
    binding = _Binding(PerplexityJob.op, lambda models: PerplexityJob(models[0], place), params, data={"text": digest})
    return _step(f"perplexity after {stage}", needs.engine, at, binding)


def _step(label: str, engine: Engine, at: Upstream, binding: _Binding) -> EngineStep:
    inputs = {"model": at.key, **{name: model.key for name, model in binding.beside}}
    node = Node(binding.op, binding.params, inputs, binding.data, engine.identity())
    return EngineStep(label, engine, node, (at, *(model for _, model in binding.beside)), binding.make)


def _prep_data(label: str, params: PrepDataParams, needs: Needs) -> EngineStep:
    """Hangs on no model: the same data cleaned the same way is shared by every recipe."""
    place, digest = needs.data("dataset", params.dataset)
    against = [needs.data("against", name) for name in params.against if "decontaminate" in params.steps]
    data = {"dataset": digest, **{f"against{number}": known for number, (_, known) in enumerate(against, 1)}}
    job = PrepDataJob(place, tuple(path for path, _ in against), params)
    node = Node(PrepDataJob.op, _plain(params, "dataset", "against"), {}, data, needs.engine.identity())
    return EngineStep(label, needs.engine, node, (), lambda _: job)


@dataclass(frozen=True)
class _Pairs:
    """Training data: a file with a digest, or what prep-data left, which is a step to wait for."""

    beside: tuple[tuple[str, Upstream], ...]
    data: dict[str, str]
    place: Path | None

    def path(self, models: tuple[Checkpoint, ...]) -> Path:
        """Where it is; the step's result is the last of `models`."""
        return models[-1].path if self.place is None else self.place


def _pairs(name: str, needs: Needs) -> _Pairs:
    if name != PREPARED:
        place, digest = needs.data("dataset", name)
        return _Pairs((), {"dataset": digest}, place)
    if needs.prepared is None:
        raise RequestError(
            f"dataset {PREPARED!r} is what a prep-data stage leaves, and none stands before this stage"
            "; allowed: a dataset in the catalogue, a path"
        )
    return _Pairs((("dataset", needs.prepared),), {}, None)


def _train(params: FinetuneParams | AlignParams, needs: Needs) -> _Binding:
    pairs = _pairs(params.dataset, needs)

    def make(models: tuple[Checkpoint, ...]) -> Job:
        data = pairs.path(models)
        if isinstance(params, AlignParams):
            return AlignJob(models[0], data, params)
        return FinetuneJob(models[0], data, params)

    op = AlignJob.op if isinstance(params, AlignParams) else FinetuneJob.op
    # What the data is called changes nothing: its digest is in the key.
    return _Binding(op, make, _plain(params, "dataset"), pairs.beside, pairs.data)


def _distill(params: DistillParams, needs: Needs) -> _Binding:
    pairs = _pairs(params.dataset, needs)
    named = [("teacher", params.teacher), *(("more_teachers", name) for name in params.more_teachers)]
    teachers = tuple(
        (f"teacher{number}", needs.import_of(key, name, ImportParams())) for number, (key, name) in enumerate(named, 1)
    )
    return _Binding(
        DistillJob.op,
        lambda models: DistillJob(models[0], models[1 : 1 + len(teachers)], pairs.path(models), params),
        _plain(params, "dataset", "teacher", "more_teachers"),
        (*teachers, *pairs.beside),
        pairs.data,
    )


def _merge(params: MergeParams, needs: Needs) -> _Binding:
    others = [
        (f"model{number}", needs.import_of("models", name, ImportParams()))
        for number, name in enumerate(params.models, 2)
    ] or [("model2", needs.imported)]
    base = (
        needs.imported
        if params.base_model is None
        else needs.import_of("base_model", params.base_model, ImportParams())
    )
    beside = (*others, ("base", base)) if params.strategy in ("ties", "dare") else tuple(others)

    def make(models: tuple[Checkpoint, ...]) -> Job:
        joined = models[: 1 + len(others)]
        return MergeJob(joined, models[-1] if len(models) > len(joined) else None, params)

    return _Binding(MergeJob.op, make, _plain(params, "models", "base_model"), beside)


def _prune(params: PruneParams, needs: Needs) -> _Binding:
    if params.calibration is None:
        return _Binding(PruneJob.op, lambda models: PruneJob(models[0], None, params), _plain(params))
    place, digest = needs.data("calibration", params.calibration)
    return _Binding(
        PruneJob.op,
        lambda models: PruneJob(models[0], place, params),
        _plain(params, "calibration"),
        data={"calibration": digest},
    )


def _plain(params: StageParams, *left_out: str) -> dict[str, object]:
    return params.model_dump(mode="json", exclude=set(left_out))
