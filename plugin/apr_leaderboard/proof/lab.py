"""Where measured checks get an engine's real output: jobs through the store, where what is there is not made anew."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from apr_leaderboard.engine.jobs import Checkpoint, ImportJob, Job
from apr_leaderboard.engine.protocol import Engine
from apr_leaderboard.model.record import StageRecord
from apr_leaderboard.model.stage import ImportParams
from apr_leaderboard.pipeline import EngineStep, Workbench
from apr_leaderboard.pipeline.steps import Upstream
from apr_leaderboard.proof.nothere import NotHere
from apr_leaderboard.proof.specimen import Specimen
from apr_leaderboard.store import Node

__all__ = ["Lab", "Made"]


@dataclass(frozen=True)
class Made:
    """What a job left: its checkpoint if it has one, the folder of all its files, and the engine's record of it."""

    upstream: Upstream
    folder: Path
    checkpoint: Checkpoint | None = None
    record: StageRecord | None = None


class Lab:
    """One process's place for measured checks; nothing is made before it is asked for."""

    def __init__(self, workbench: Callable[[], Workbench], *, patient: bool = True) -> None:
        self._make_workbench = workbench
        self.patient = patient
        self._words: dict[str, str] = {}
        self._models: dict[int, Made] = {}
        self._trained: Made | None = None

    @cached_property
    def workbench(self) -> Workbench:
        """The store and the engines of this run."""
        return self._make_workbench()

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.workbench.root

    @property
    def engine(self) -> Engine:
        """The first engine asked for."""
        return self.workbench.engines[0]

    def engine_for(self, op: str) -> Engine:
        """Who does jobs of that operation."""
        del op
        return self.engine

    @cached_property
    def folder(self) -> Path:
        """An empty folder to work in, gone when the process ends."""
        self._scratch = TemporaryDirectory(prefix="apr-proof-")
        return Path(self._scratch.name)

    def run_once(self, name: str, work: Callable[[], str]) -> str:
        """What `work` returned the first time it was asked for under this name in this process."""
        if name not in self._words:
            self._words[name] = work()
        return self._words[name]

    def specimen(self, seed: int = 1) -> Made:
        """A small random model in the Hugging Face layout."""
        upstream = Specimen(seed, self.folder)
        checkpoint = upstream.ensure(self.workbench.runner)
        return Made(upstream, checkpoint.path, checkpoint)

    def model(self, seed: int = 1) -> Made:
        """The same in the engine's own format."""
        if seed not in self._models:
            made = self.specimen(seed)
            # The reference engine's own format is that of the specimen.
            self._models[seed] = made if self.engine.name == "reference" else self.imported(made)
        return self._models[seed]

    def trained(self) -> Made:
        """The suite's smoke model, pretrained. Raises as `named`."""
        if self._trained is None:
            self._trained = self.named("smoke")
        return self._trained

    def named(self, name: str) -> Made:
        """A model that the suite makes, by its name in the catalogue, in the engine's own format.

        Raises `NotHere` where it would have to be made and nobody waits.
        """
        upstream = self.workbench.sources.model(name, fetch_unknown=True)
        if isinstance(upstream, EngineStep):
            self.need(upstream.node, f"the model {name}, which takes minutes")
        checkpoint = upstream.ensure(self.workbench.runner)
        made = Made(upstream, checkpoint.path, checkpoint)
        return made if self.engine.name == "reference" else self.imported(made)

    def imported(self, made: Made) -> Made:
        """Any model, imported by the engine."""
        params = ImportParams()
        return self.make(lambda found: ImportJob(found[0], params), params, [made])

    def need(self, node: Node, what: str) -> None:
        """Raise `NotHere` where a node would have to be made and nobody waits."""
        if not self.patient and self.workbench.store.peek(node) is None:
            raise NotHere(f"needs {what}: `pytest -m contracts` makes it")

    def done(self, step: EngineStep) -> Made:
        """What a step leaves, done now if need be. Raises whatever the engine does."""
        done = self.workbench.runner.run(step)
        made = Made(step, done.entry.path, record=done.record)
        if done.record.checkpoint is None or done.record.format is None:
            return made
        return replace(made, checkpoint=Checkpoint(made.folder / done.record.checkpoint, done.record.format))

    def make(
        self,
        job: Callable[[tuple[Checkpoint, ...]], Job],
        params: Any,
        models: Sequence[Made],
        data: Path | None = None,
    ) -> Made:
        """Have the engine do a job on models, the one at hand first; `data` is a file the job reads.

        Raises whatever the engine does. What the store holds is not made again.
        """
        return self.done(self.step(job, params, models, data))

    def step(
        self,
        job: Callable[[tuple[Checkpoint, ...]], Job],
        params: Any,
        models: Sequence[Made],
        data: Path | None = None,
    ) -> EngineStep:
        """The step that `make` does; touches nothing."""
        planned = tuple(one.checkpoint for one in models if one.checkpoint is not None)
        op = job(planned).op
        engine = self.engine_for(op)
        node = Node(
            op,
            params if isinstance(params, dict) else params.model_dump(mode="json"),
            {f"model{number}": one.upstream.key for number, one in enumerate(models, 1)},
            {} if data is None else {"data": hashlib.sha256(data.read_bytes()).hexdigest()},
            engine.identity(),
        )
        return EngineStep(f"{op} for a contract", engine, node, tuple(one.upstream for one in models), job)
