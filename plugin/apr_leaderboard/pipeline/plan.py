"""From a recipe to a plan: every stage as a step of the graph, all keys known before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from apr_leaderboard.engine.jobs import PerplexityJob
from apr_leaderboard.engine.protocol import Engine
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.monitoring import Monitoring
from apr_leaderboard.model.recipe import ProfileName, Recipe, RecipeProfile
from apr_leaderboard.model.stage import EvalParams, StageName, StageParams
from apr_leaderboard.model.yamlfile import Loaded
from apr_leaderboard.pipeline.binding import Needs, bind_stage, perplexity_step
from apr_leaderboard.pipeline.evaluation import Decoding, Evaluation, EvaluationMaker, Subject
from apr_leaderboard.pipeline.guard import Guard
from apr_leaderboard.pipeline.origin import Sources
from apr_leaderboard.pipeline.steps import EngineStep, Upstream

__all__ = ["Plan", "PlannedStage", "plan_recipe"]

T = TypeVar("T")

_ASIDE = (StageName.COMPILE, StageName.EXPORT, StageName.SUBMIT)
"""Stages that make something to give away; the recipe goes on from the model they were given."""

_TRAINS = (StageName.DISTILL, StageName.FINETUNE, StageName.ALIGN)
"""Stages whose steps a recipe's monitoring looks at."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage: the step that does it, or, for eval, the evaluations it is made of."""

    name: StageName
    params: StageParams
    step: EngineStep | None = None
    evaluations: tuple[Evaluation, ...] = ()
    perplexity: EngineStep | None = None
    """What measures the model that the stage left, where the recipe asks for it and the engine can."""


@dataclass(frozen=True)
class Plan:
    """One recipe in one profile on one engine."""

    recipe: Recipe
    file: Path
    profile_name: ProfileName
    engine: Engine
    model: Upstream
    stages: tuple[PlannedStage, ...]

    @property
    def monitoring(self) -> Monitoring:
        """What is watched."""
        return self.recipe.monitoring_of(self.profile_name)

    def stage(self, name: StageName) -> PlannedStage:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name is name)

    @property
    def made(self) -> PlannedStage | None:
        """The last stage that leaves a model: what the recipe makes. None where it makes none."""
        makers = [one for one in self.stages if one.step and one.name not in (*_ASIDE, StageName.PREP_DATA)]
        return makers[-1] if makers else None


def plan_recipe(
    loaded: Loaded[Recipe],
    profile_name: ProfileName,
    engine: Engine,
    sources: Sources,
    evaluations: EvaluationMaker,
    *,
    dry: bool = False,
) -> Plan:
    """Bind a recipe to an engine.

    Raises `FileFormatError` for what only shows here: a model, dataset, benchmark or prompt profile that is none, and
    a profile the recipe lacks. With `dry`, nothing is fetched.
    """
    recipe = loaded.value
    if profile_name not in recipe.profiles:
        raise loaded.error(("profiles",), f"no profile {profile_name!r}", allowed=", ".join(recipe.profiles))
    profile = recipe.profiles[profile_name]
    builder = _Builder(loaded, profile_name, profile, engine, sources, evaluations, dry)
    return Plan(recipe, loaded.file, profile_name, engine, builder.model(), builder.stages())


@dataclass
class _Builder:
    """Walks the stages, each building on the one before."""

    loaded: Loaded[Recipe]
    profile_name: ProfileName
    profile: RecipeProfile
    engine: Engine
    sources: Sources
    evaluations: EvaluationMaker
    dry: bool

    def model(self) -> Upstream:
        """What the recipe starts from."""
        return self._checked(("model",), lambda: self.sources.model(self.profile.model, fetch_unknown=not self.dry))

    def stages(self) -> tuple[PlannedStage, ...]:
        """Every stage, in order."""
        at = self.model()
        chain: list[tuple[StageName | None, Upstream]] = [(None, at)]
        prepared: Upstream | None = None
        planned = []
        for name in self.loaded.value.stages:
            params = self.profile.params(name)
            assert params is not None, "a recipe has parameters for each of its stages"
            if isinstance(params, EvalParams):
                planned.append(PlannedStage(name, params, evaluations=self._evaluations(params, chain)))
            else:
                imported = chain[1][1] if len(chain) > 1 and chain[1][0] is StageName.IMPORT else chain[0][1]
                needs = self._needs(name, imported, prepared)
                step = bind_stage(name.value, params, at, needs)
                if name in _TRAINS:
                    step = replace(step, guard=Guard.of(self.loaded.value.monitoring_of(self.profile_name)))
                planned.append(PlannedStage(name, params, step, perplexity=self._perplexity(name, step, needs)))
                if name is StageName.PREP_DATA:
                    prepared = step
                elif name not in _ASIDE:
                    chain.append((name, step))
                    at = step
        return tuple(planned)

    def _perplexity(self, stage: StageName, step: EngineStep, needs: Needs) -> EngineStep | None:
        """What measures the model a stage leaves; an engine that cannot is not asked."""
        asked = self.profile.params(StageName.EVAL)
        if stage in (*_ASIDE, StageName.PREP_DATA) or not isinstance(asked, EvalParams) or asked.perplexity is None:
            return None
        if PerplexityJob.op not in self.engine.capabilities():
            return None
        needs = replace(needs, dataset=self._needs(StageName.EVAL, step, None).dataset)
        return perplexity_step(stage.value, step, asked.perplexity, needs)

    def _needs(self, stage: StageName, imported: Upstream, prepared: Upstream | None) -> Needs:
        return Needs(
            self.engine,
            imported,
            prepared=prepared,
            dataset=lambda key, name: self._checked(
                (stage.value, key), lambda: self.sources.dataset(name, self.loaded.file.parent)
            ),
            model=lambda key, name: self._checked(
                (stage.value, key), lambda: self.sources.model(name, fetch_unknown=not self.dry)
            ),
            dry=self.dry,
        )

    def _evaluations(
        self, params: EvalParams, chain: list[tuple[StageName | None, Upstream]]
    ) -> tuple[Evaluation, ...]:
        subjects = [self._subject(*chain[-1], baseline=False)]
        # What the recipe did shows against the model as it came in, so that is asked the same questions.
        first = chain[1] if len(chain) > 1 and chain[1][0] is StageName.IMPORT else chain[0]
        if params.baseline and first[1].key != chain[-1][1].key:
            subjects.insert(0, self._subject(*first, baseline=True))
        decoding = Decoding(
            params.prompt_profile,
            params.samples,
            params.temperature,
            params.top_k,
            params.top_p,
            params.max_tokens,
            draft_tokens=params.draft_tokens,
        )
        return tuple(
            self._checked(("benchmarks", index), partial(self.evaluations.of_subject, name, subject, decoding))
            for index, name in enumerate(self.profile.benchmarks)
            for subject in subjects
        )

    def _subject(self, stage: StageName | None, model: Upstream, *, baseline: bool) -> Subject:
        after = stage.value if stage else None
        instruct = self.sources.entry(self.profile.model).instruct
        return Subject(self.profile.model, model, self.engine, self.loaded.value.name, after, baseline, instruct)

    def _checked(self, path: tuple[str | int, ...], make: Callable[[], T]) -> T:
        """`make()`, with a wrong request told at its place in the file."""
        try:
            return make()
        except RequestError as error:
            problem, _, allowed = str(error).partition("; allowed: ")
            raise self.loaded.error(("profiles", self.profile_name, *path), problem, allowed=allowed) from None
