"""One process's place of work: the store, the engines, the sandbox, and what the user asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from apr_leaderboard.bench import CollectionEntry, Problem
from apr_leaderboard.engine.backends import on_backend
from apr_leaderboard.engine.protocol import Engine
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import load_catalogue
from apr_leaderboard.model.recipe import Recipe
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.model.yamlfile import Loaded
from apr_leaderboard.pipeline.answers import Answer, FileAnswers
from apr_leaderboard.pipeline.evaluation import Decoding, Evaluation, EvaluationMaker, Subject
from apr_leaderboard.pipeline.origin import Sources
from apr_leaderboard.pipeline.plan import Plan, plan_recipe
from apr_leaderboard.pipeline.progress import ProgressBoard
from apr_leaderboard.pipeline.score import summarize
from apr_leaderboard.pipeline.scoring import Judged, Scorer
from apr_leaderboard.pipeline.settings import Settings
from apr_leaderboard.pipeline.steps import Runner
from apr_leaderboard.sandbox import Level, Limits, Sandbox, choose_level
from apr_leaderboard.source import default_cache, default_catalogue
from apr_leaderboard.store import Corruption, Remote, Store

__all__ = ["EvaluationScore", "Workbench"]


@dataclass(frozen=True)
class EvaluationScore:
    """What an evaluation came to, with every problem judged."""

    evaluation: Evaluation
    result: BenchmarkResult
    invalid: tuple[str, ...]
    cached: bool

    @property
    def n_solved(self) -> int:
        """Problems with at least one sample that passed."""
        return sum(1 for problem in self.result.problems if problem.c)

    @property
    def pass_at_1(self) -> float | None:
        """None where it was not measured."""
        return self.result.pass_at_k.get("1")


class Workbench:
    """Everything items ask. Parts are made when first needed, so that a run that finds all in the store stays quick."""

    def __init__(
        self,
        *,
        root: Path,
        store_root: Path,
        run_folder: Path,
        settings: Settings,
        make_engine: Callable[[str], Engine],
        remote: Remote | None = None,
        suite_folders: tuple[Path, ...] = (),
    ) -> None:
        self.root = root
        self.settings = settings
        self.notices: list[str] = []
        self._asked: dict[str, tuple[Evaluation, ...]] = {}
        self._run_folder = run_folder
        self._suite_folders = suite_folders
        self._make_engine = make_engine
        self._made: dict[str, Engine] = {}
        self._plans: dict[tuple[Path, EngineIdentity], Plan] = {}
        self._scorers: dict[str, Scorer] = {}
        self._sandboxes: dict[Limits, Sandbox] = {}
        self.board = ProgressBoard(run_folder / "progress")
        self.store = Store(
            store_root,
            remote=remote,
            on_corruption=self._on_corruption,
            on_unshared=lambda why: self.notices.append(f"made, but not shared: {why}"),
        )
        self.runner = Runner(self.store, run_folder.name, self.board.watch, self.board.clear)

    @cached_property
    def engines(self) -> tuple[Engine, ...]:
        """The engines asked for. Raises `RequestError` for one that is unknown or not here."""
        return tuple(self.engine(name) for name in self.settings.engines)

    def engine(self, name: str) -> Engine:
        """An engine by name."""
        if name not in self._made:
            self._made[name] = self._make_engine(name)
        return self._made[name]

    @cached_property
    def sources(self) -> Sources:
        """Models and datasets by name."""
        catalogue = load_catalogue(default_catalogue(self.root))
        return Sources(catalogue, default_cache(self.store.root), self._maker, self.board.watch("fetch"))

    def _maker(self) -> Engine:
        """Who makes the suite's own models: the reference engine on the CPU, whatever it computes on otherwise."""
        engine = self.engine("reference")
        on_cpu = on_backend(engine, "cpu")
        return engine if on_cpu is None else on_cpu.engine

    @cached_property
    def evaluations(self) -> EvaluationMaker:
        """Benchmarks by name."""
        settings = self.settings
        return EvaluationMaker(
            self.root, self.sources, data=settings.data, limit=settings.limit, suite_folders=self._suite_folders
        )

    @cached_property
    def level(self) -> Level:
        """The sandbox level of this run. Raises `RequestError` for one that cannot work here."""
        return choose_level(self.settings.sandbox)

    def plan(self, loaded: Loaded[Recipe], engine: Engine) -> Plan:
        """A recipe bound to an engine; made once."""
        key = (loaded.file, engine.identity())
        if key not in self._plans:
            self._plans[key] = plan_recipe(
                loaded, self.settings.profile, engine, self.sources, self.evaluations, dry=self.settings.dry
            )
        return self._plans[key]

    def standalone(self, benchmark: str) -> tuple[Evaluation, ...]:
        """A benchmark asked of the user's model on each engine, or scored over the user's completions.

        The name may be a collection's: then each of its benchmarks, in its order and with its settings where the user
        gave none.
        """
        if benchmark not in self._asked:
            made = self._evaluations_of(benchmark)
            self._refuse_other_settings(made)
            self._asked[benchmark] = made
        return self._asked[benchmark]

    def _refuse_other_settings(self, made: tuple[Evaluation, ...]) -> None:
        """Two that a report could not tell apart would be one, with the verdicts of either."""
        asked = {evaluation.id: evaluation for evaluation in self.asked}
        for one in made:
            before = asked.get(one.id)
            if before is not None and before.answers.key != one.answers.key:
                words = " and ".join(f"max_tokens {each.decoding['max_tokens']}" for each in (before, one))
                raise RequestError(
                    f"{one.benchmark.name} is asked twice in one run, with {words}; accepted: one run for each"
                )

    @property
    def asked(self) -> tuple[Evaluation, ...]:
        """Every evaluation asked for outside of a recipe so far."""
        return tuple(evaluation for made in self._asked.values() for evaluation in made)

    def _evaluations_of(self, name: str) -> tuple[Evaluation, ...]:
        settings = self.settings
        collection = self.evaluations.collections.get(name)
        if settings.completions is not None:
            if collection is not None:
                raise RequestError(f"{name}: got one file of completions; accepted: {', '.join(collection.benchmarks)}")
            return (self.evaluations.of_file(name, settings.completions, settings.prompt, settings.completions_of),)
        if settings.model is None:
            raise RequestError(f"{name}: got neither a model nor completions; accepted: --apr-model, --apr-completions")
        entry = self.sources.known_as(settings.model)
        model = self.sources.model(settings.model, fetch_unknown=not settings.dry)
        asked = {name: CollectionEntry()} if collection is None else collection.benchmarks
        return tuple(
            self.evaluations.of_subject(
                benchmark, Subject(entry.name, model, engine, instruct=entry.instruct), self._decoding(how)
            )
            for benchmark, how in asked.items()
            for engine in self.engines
        )

    def _decoding(self, how: CollectionEntry) -> Decoding:
        settings = self.settings
        return Decoding(
            settings.prompt or how.prompt_profile,
            settings.samples,
            settings.temperature,
            settings.top_k,
            settings.top_p,
            settings.max_tokens or how.max_tokens,
            settings.seed,
            settings.draft_tokens,
        )

    @property
    def plans(self) -> tuple[Plan, ...]:
        """Every recipe bound so far."""
        return tuple(self._plans.values())

    @property
    def level_words(self) -> str:
        """The sandbox level and what it cannot stop, for people."""
        weak = f" (cannot stop: {', '.join(self.level.cannot_stop)})" if self.level.cannot_stop else ""
        return f"{self.level.value}{weak}"

    def identities(self) -> tuple[EngineIdentity, ...]:
        """Every engine that was asked for or needed."""
        return tuple(self._made[name].identity() for name in sorted(self._made))

    def answers_here(self, evaluation: Evaluation) -> bool:
        """Whether an evaluation's answers need no engine."""
        return evaluation.answers.is_here(self.store)

    def judge(self, evaluation: Evaluation, index: int) -> Judged:
        """One problem's answers, judged."""
        return self._scorer(evaluation).judge(index)

    def score(self, evaluation: Evaluation) -> EvaluationScore:
        """A whole evaluation, every problem judged."""
        scorer = self._scorer(evaluation)
        judged = [scorer.judge(index) for index in range(len(evaluation.problems))]
        scorer.commit()
        result = summarize(evaluation.info, [one.result for one in judged], self.settings.ks)
        invalid = tuple(one.invalid for one in judged if one.invalid)
        return EvaluationScore(evaluation, result, invalid, all(one.cached for one in judged))

    @property
    def all_evaluations(self) -> tuple[Evaluation, ...]:
        """Every evaluation of this run, in recipes and outside of them."""
        planned = (one for plan in self.plans for stage in plan.stages for one in stage.evaluations)
        return (*planned, *self.asked)

    def samples(self, evaluation: Evaluation) -> Iterator[tuple[Problem, Answer, dict[str, Any]]]:
        """As `Scorer.samples`; what is complete is committed first. Nothing is generated or judged."""
        scorer = self._scorer(evaluation)
        if not self.answers_here(evaluation):
            return
        scorer.commit()
        yield from scorer.samples()

    def samples_of(self, evaluation: Evaluation, index: int) -> Iterator[tuple[Answer, dict[str, Any]]]:
        """As `Scorer.samples_of`, of a problem that is judged."""
        return self._scorer(evaluation).samples_of(index)

    def fingerprint(self, evaluation: Evaluation) -> str | None:
        """As `Scorer.fingerprint`; None also where the answers are not here."""
        return self._scorer(evaluation).fingerprint() if self.answers_here(evaluation) else None

    def close(self) -> None:
        """End the sandboxes and let go of the store and the file of completions."""
        for scorer in self._scorers.values():
            scorer.close()
        for evaluation in self.asked:
            if isinstance(evaluation.answers, FileAnswers):
                evaluation.answers.file.close()
        for sandbox in self._sandboxes.values():
            sandbox.close()
        self._sandboxes.clear()
        self.board.clear()
        self.store.close()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _scorer(self, evaluation: Evaluation) -> Scorer:
        if evaluation.id not in self._scorers:
            self._scorers[evaluation.id] = Scorer(
                evaluation, self.runner, self._sandbox, self.level.value, self.settings.cpu_seconds
            )
        return self._scorers[evaluation.id]

    def _sandbox(self, limits: Limits) -> Sandbox:
        if limits not in self._sandboxes:
            self._sandboxes[limits] = Sandbox(self.level, limits)
        return self._sandboxes[limits]

    def _on_corruption(self, corruption: Corruption) -> None:
        self.notices.append(f"damaged in the store, made anew: {corruption}")


def scores_digest(scores: Iterable[EvaluationScore]) -> str:
    """One digest over what evaluations came to."""
    bodies = [score.result.model_dump(mode="json") for score in scores]
    return hashlib.sha256(json.dumps(bodies, sort_keys=True).encode()).hexdigest()
