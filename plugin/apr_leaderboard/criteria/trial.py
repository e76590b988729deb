"""A trial: one test of one criterion, on one model by one engine. It does the work and keeps the evidence."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from apr_leaderboard.criteria.saboteur import SabotagedEngine, Saboteur
from apr_leaderboard.engine import Checkpoint, Engine, GenerateJob, Job
from apr_leaderboard.errors import EngineRefusedError, SourceUnavailableError, StageFailedError
from apr_leaderboard.model.generation import Completion, DecodeParams, Prompt
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.model.record import Figure, Finding, StageRecord
from apr_leaderboard.model.results import Interval, Measure
from apr_leaderboard.model.stage import StageName
from apr_leaderboard.pipeline import Decoding, Done, EngineStep, EvaluationScore, Plan, Workbench
from apr_leaderboard.pipeline.answers import GeneratedAnswers
from apr_leaderboard.pipeline.evaluation import Subject
from apr_leaderboard.pipeline.generation import COMPLETIONS, GenerateStep, prompts_digest, read_completions
from apr_leaderboard.proof import Lab, NotHere, Refuted
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.store import Node

__all__ = ["SUITE", "Asked", "Trial"]

SUITE = "suite"
"""The engine of a criterion that asks the suite itself."""

_INTAKE = ("make-smoke", "import")
_VERSION = 1
"""Raised when what `Trial.remember` keeps changes its meaning."""

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What is asked of whom."""

    criterion: str
    part: str
    engine: str
    model: str


class Trial(Lab):
    """What a test of `acceptance/` is given. Everything expensive goes through the store, as every step does.

    A test states its figures with `measure`, which raises `Refuted` where the bound is missed. Whatever an engine
    raises is left to pass: an engine that refuses blocks the criterion, one that breaks fails it.
    """

    def __init__(self, workbench: Workbench, asked: Asked, folder: Path, saboteur: Saboteur | None = None) -> None:
        super().__init__(lambda: workbench)
        self._folder = folder
        self.asked = asked
        self.saboteur = saboteur
        self.measures: list[Measure] = []
        self.findings: list[Finding] = []
        self.commands: list[str] = []
        self.artefacts: dict[str, str] = {}
        self.records: list[StageRecord] = []
        self.all_cached = True
        self._started = time.monotonic()

    # -- who and what -------------------------------------------------------------------------------------------------

    @cached_property
    def sound_engine(self) -> Engine:
        """The engine asked, without a saboteur."""
        return self.workbench.engine("reference" if self.asked.engine == SUITE else self.asked.engine)

    @cached_property
    def _broken_engine(self) -> Engine:
        return self.sound_engine if self.saboteur is None else SabotagedEngine(self.sound_engine, self.saboteur)

    def work_with(self, engine: Engine) -> None:
        """From here on `engine` is the engine asked: the same one, computing on something else."""
        self.sound_engine = engine
        self.__dict__.pop("_broken_engine", None)

    @property
    def engine(self) -> Engine:
        """The engine asked; in a saboteur's hands where there is one."""
        return self._broken_engine

    def engine_for(self, op: str) -> Engine:
        """The saboteur's engine for what it breaks, the sound one for everything else.

        Raises `NotHere` where the engine is not offered such jobs: the words are ours, so that blocks nothing.
        """
        broken = self.saboteur is not None and op in self.saboteur.ops
        engine = self._broken_engine if broken else self.sound_engine
        if op not in engine.capabilities():
            does = ", ".join(sorted(engine.capabilities()))
            raise NotHere(f"needs an engine that does {op}: {engine.name} does {does}")
        return engine

    @property
    def folder(self) -> Path:
        """A folder for this process's trials to work in."""
        return self._folder

    @property
    def profile(self) -> str:
        """smoke or real."""
        return self.workbench.settings.profile

    @property
    def seconds(self) -> float:
        """Since the trial began."""
        return time.monotonic() - self._started

    def given(self, value: T) -> T:
        """`value`, or what the saboteur makes of it."""
        if self.saboteur is None or self.saboteur.given is None:
            return value
        changed: T = self.saboteur.given(value)
        return changed

    # -- models -------------------------------------------------------------------------------------------------------

    def source(self, name: str | None = None) -> Made:
        """A model as it comes, by name; without one, the model asked. Raises `NotHere` where its bytes are not."""
        if name is None and self.saboteur is not None and self.saboteur.stands_in:
            name = "smoke"
        try:
            upstream = self.workbench.sources.model(name or self.asked.model, fetch_unknown=True)
            checkpoint = upstream.ensure(self.workbench.runner)
        except SourceUnavailableError as error:
            raise NotHere(f"needs the model {name or self.asked.model}: {error}") from None
        return Made(upstream, checkpoint.path, checkpoint)

    def model(self, seed: int = 1) -> Made:
        """The model asked, imported by the engine. (A specimen's seed means nothing here.)"""
        del seed
        return self.imported(self.source())

    def trained(self) -> Made:
        """The model asked, as `model`."""
        return self.model()

    def make(
        self,
        job: Callable[[tuple[Checkpoint, ...]], Job],
        params: Any,
        models: Sequence[Made],
        data: Path | None = None,
    ) -> Made:
        """As `Lab.make`; notes the command, the digest and what was found."""
        made = self._own(models, lambda: Lab.make(self, job, params, models, data))
        assert isinstance(made.upstream, EngineStep)
        self.note(self.workbench.runner.run(made.upstream))
        return made

    def plan(self, recipe: str, engine: Engine | None = None) -> Plan:
        """A recipe of the project by its name, bound to the engine asked. Raises `NotHere` where there is none."""
        file = self.root / "recipes" / f"{recipe}.yaml"
        if not file.is_file():
            raise NotHere(f"needs recipes/{recipe}.yaml")
        return self.workbench.plan(load_recipe(file), engine or self.sound_engine)

    def stage(self, recipe: str, stage: StageName, engine: Engine | None = None) -> Made:
        """What a recipe's stage leaves: the very step of the recipe, so that it is done once for both."""
        step = self.plan(recipe, engine).stage(stage).step
        assert step is not None, f"{stage} is a step"
        if engine is None and self.saboteur is not None and step.node.op in self.saboteur.ops:
            node = replace_engine(step.node, self._broken_engine)
            step = replace(step, engine=self._broken_engine, node=node)
        made = self.done(step)
        self.note(self.workbench.runner.run(step))
        return made

    def note(self, done: Done) -> None:
        """Keep what a step left as evidence."""
        self.all_cached = self.all_cached and done.cached
        words = " ".join(done.record.command)
        if words and words not in self.commands:
            self.commands.append(words)
        self.artefacts[f"{done.record.op} {done.entry.key[:12]}"] = done.entry.digest
        self.records.append(done.record)
        self.findings += [one for one in done.record.findings if one not in self.findings]

    # -- answers ------------------------------------------------------------------------------------------------------

    def ask(self, made: Made, prompts: Sequence[Prompt], params: DecodeParams) -> list[Completion]:
        """Answers, in the prompts' order."""
        asked, engine = tuple(prompts), self.engine_for(GenerateJob.op)
        node = Node(
            GenerateJob.op,
            {"decode": params.model_dump(), "prompts": prompts_digest(asked)},
            {"model": made.upstream.key},
            engine=engine.identity(),
        )
        step = GenerateStep(
            f"answer for {self.asked.criterion}",
            engine,
            node,
            (made.upstream,),
            lambda models: GenerateJob(models[0], asked, params),
            prompts=asked,
        )
        done = self._own([made], lambda: self.workbench.runner.run(step))
        self.note(done)
        return list(read_completions(done.entry.file(COMPLETIONS)))

    def score(
        self, benchmark: str, made: Made, name: str, decoding: Decoding | None = None, *, engine: Engine | None = None
    ) -> EvaluationScore:
        """A benchmark asked of a model and judged in the sandbox; `name` is what the model is called in the report.

        A saboteur of generation has its hands in it, unless an `engine` is named.
        """
        subject = Subject(name, made.upstream, engine or self.engine_for(GenerateJob.op))
        try:
            evaluation = self.workbench.evaluations.of_subject(benchmark, subject, decoding or Decoding())
        except SourceUnavailableError as error:
            raise NotHere(f"needs the data of {benchmark}: {error}") from None
        found = self._own([made], lambda: self.workbench.score(evaluation))
        self.all_cached = self.all_cached and found.cached
        if isinstance(evaluation.answers, GeneratedAnswers):
            self.note(self.workbench.runner.run(evaluation.answers.step))
        self.artefacts[f"{benchmark} by {name}"] = evaluation.answers.key
        if found.invalid:
            raise Refuted(f"the self-check of {benchmark} fails: {found.invalid[0]}")
        return found

    def _own(self, models: Sequence[Made], work: Callable[[], T]) -> T:
        """`work()` on models. To refuse what one has made oneself is to have made it wrong: that fails a criterion."""
        try:
            return work()
        except (EngineRefusedError, StageFailedError) as error:
            steps = [one.upstream for one in models if isinstance(one.upstream, EngineStep)]
            own = [one for one in steps if one.node.op not in _INTAKE and one.engine.name == self.asked.engine]
            if isinstance(error, StageFailedError) or not own:
                raise
            words = f"{error.message} {error.stderr.strip()}".strip()
            raise Refuted(f"{self.asked.engine} refuses what its own {own[0].node.op} made: {words}") from None

    # -- evidence -----------------------------------------------------------------------------------------------------

    def tell(self, name: str, value: Figure, unit: str = "", *, interval: Interval | None = None) -> None:
        """A figure that is reported and not judged."""
        self.measures.append(Measure(name=name, value=_plain(value), unit=unit, interval=interval))

    def measure(
        self, name: str, value: Figure, bound: str, holds: object, *, unit: str = "", interval: Interval | None = None
    ) -> None:
        """A figure and its bound. Raises `Refuted` where it does not hold."""
        found = Measure(name=name, value=_plain(value), unit=unit, bound=bound, holds=bool(holds), interval=interval)
        self.measures.append(found)
        if not found.holds:
            shown = f"{found.value:.6g}" if isinstance(found.value, float) else str(found.value)
            raise Refuted(f"{name}: {shown}{' ' + unit if unit else ''}; it must be {bound}")

    def remember(self, name: str, data: Mapping[str, str], work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """`work()`, once for the same `data` (name: digest of what it depends on): kept in the store like a step."""
        node = Node("criterion", {"name": name, "version": _VERSION}, data=data)

        def build(out: Path) -> Mapping[str, Any]:
            (out / "found.json").write_text(json.dumps(work(), sort_keys=True), encoding="utf-8")
            return {}

        entry = self.workbench.store.compute(node, build, run_id=self.workbench.runner.run_id)
        self.all_cached = self.all_cached and entry.cached
        self.artefacts[name] = entry.digest
        found: dict[str, Any] = json.loads(entry.file("found.json").read_text(encoding="utf-8"))
        return found

    def file(self, name: str, text: str) -> Path:
        """A file for an engine to read, in this process's empty folder."""
        place = self.folder / hashlib.sha256(text.encode()).hexdigest()[:16] / name
        if not place.is_file():
            place.parent.mkdir(exist_ok=True)
            place.write_text(text, encoding="utf-8")
        return place


def replace_engine(node: Node, engine: Engine) -> Node:
    """The same node, done by another engine."""
    return Node(node.op, node.params, node.inputs, node.data, engine.identity())


def refusal_behind(error: BaseException) -> EngineRefusedError | None:
    """The engine's refusal that an error comes from, however many stages lie between; None where it is none."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, EngineRefusedError):
            return seen
        seen = seen.__cause__ if isinstance(seen, StageFailedError) else None
    return None


def _plain(value: Any) -> Figure:
    """NumPy's scalars as Python's."""
    plain: Figure = value.item() if hasattr(value, "item") else value
    return plain
