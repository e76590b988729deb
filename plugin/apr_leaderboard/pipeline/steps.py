"""Steps: engine jobs as nodes of the build graph, each knowing the step it builds on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from apr_leaderboard.engine.jobs import Checkpoint, Job
from apr_leaderboard.engine.process import shell_quote
from apr_leaderboard.engine.protocol import Engine, Progress, Watch
from apr_leaderboard.engine.refusals import refusals_of
from apr_leaderboard.errors import EngineError, EngineOutputError, HarnessError, StageFailedError
from apr_leaderboard.model.record import StageRecord
from apr_leaderboard.pipeline.guard import UNGUARDED, Guard
from apr_leaderboard.store import Entry, Node, Store

__all__ = ["Done", "EngineStep", "Runner", "Upstream", "checkpoint_of"]


_WAITING = Progress("waiting for the worker that does it", 0, None, "s")


class Upstream(Protocol):
    """Anything a step can start from: a model as it comes, or an earlier step."""

    @property
    def label(self) -> str:
        """Its name in messages."""
        ...

    @property
    def key(self) -> str:
        """What its result is called in the keys of the steps that follow."""
        ...

    def planned(self, store: Store) -> Checkpoint:
        """Where its checkpoint is, or will be; touches nothing."""
        ...

    def size_hint(self, store: Store) -> int | None:
        """About how many bytes it takes; None where nothing tells."""
        ...

    def ensure(self, runner: Runner) -> Checkpoint:
        """Its checkpoint, made now if need be."""
        ...


@dataclass(frozen=True)
class Done:
    """A step's result: where it is, what the engine said of it, what this asking cost, and what its guard says."""

    entry: Entry
    record: StageRecord
    cached: bool
    seconds: float
    warnings: tuple[str, ...] = ()


@dataclass
class Runner:
    """Runs steps through the store. One a process; several processes may run the same steps at once."""

    store: Store
    run_id: str
    watch: Callable[[str], Watch]
    idle: Callable[[], None]
    _done: dict[tuple[str, Guard], Done] = field(default_factory=dict)

    def run(self, step: EngineStep) -> Done:
        """The step's result, from this process's memory, the store, or the engine.

        Raises `StageFailedError` when an earlier step failed, `AlertError` where the step's guard says to stop, whether
        it is computed now or long since, and whatever the engine or the store raise for this one. A failure is
        remembered for the run, so that no worker tries again what another saw fail.
        """
        key = (step.node.key, step.guard)
        if key not in self._done:
            started = time.monotonic()
            entry = self.store.get(step.node)
            if entry is None:
                models = tuple(self._reach(step, upstream) for upstream in step.upstream)
                entry = self._compute(step, models)
            seconds = time.monotonic() - started
            warnings = (*step.refusals(self.store), *step.guard.review(entry.path, step.engine.name))
            self._done[key] = Done(entry, _record(entry, self.store), entry.cached, seconds, warnings)
        return self._done[key]

    def _reach(self, step: EngineStep, upstream: Upstream) -> Checkpoint:
        try:
            return upstream.ensure(self)
        except StageFailedError as error:
            raise StageFailedError(step.label, error.failed, error.reason) from error
        except EngineError as error:
            raise StageFailedError(step.label, upstream.label, str(error)) from error

    def _compute(self, step: EngineStep, models: tuple[Checkpoint, ...]) -> Entry:
        watch = step.guard.over(self.watch(step.label), step.engine.name)

        def build(out: Path) -> Mapping[str, Any]:
            record = step.build(models, out, self.store, watch)
            return portable(record, out, self.store.root)

        # What one recipe's alert ended must not count as failed for a recipe that asks the same without that alert.
        run_id = "-".join(filter(None, [self.run_id, step.guard.digest]))
        try:
            return self.store.compute(step.node, build, run_id=run_id, on_wait=lambda _: watch(_WAITING))
        finally:
            self.idle()


@dataclass(frozen=True)
class EngineStep:
    """One job of one engine on the models `upstream`, the one at hand first; `make_job` binds it to checkpoints.

    `guard` watches it, and is no part of its key.
    """

    label: str
    engine: Engine
    node: Node
    upstream: tuple[Upstream, ...]
    make_job: Callable[[tuple[Checkpoint, ...]], Job]
    expected_bytes: int | None = None
    guard: Guard = UNGUARDED

    @property
    def key(self) -> str:
        """As `Upstream.key`."""
        return self.node.key

    def build(self, models: tuple[Checkpoint, ...], out: Path, store: Store, watch: Watch) -> StageRecord:
        """Do the job into `out`. Overridden where a step is more than one call of the engine."""
        del store
        return self.engine.run(self.make_job(models), out, watch)

    def command(self, store: Store) -> str:
        """The engine's command line for this step, with the paths it will have in the store."""
        return shell_quote(self.engine.command(self._planned_job(store), store.path(self.node)))

    def refusals(self, store: Store) -> tuple[str, ...]:
        """What the engine will refuse of this step, or pass over, one line each; touches nothing."""
        return refusals_of(self.engine, self._planned_job(store))

    def planned(self, store: Store) -> Checkpoint:
        """As `Upstream.planned`."""
        name, kind = self.engine.produces(self._planned_job(store))
        return Checkpoint(store.path(self.node) / name, kind)

    def size_hint(self, store: Store) -> int | None:
        """What it took if it is done, else as much as what it starts from."""
        entry = store.peek(self.node)
        if entry is not None:
            return entry.size
        return self.upstream[0].size_hint(store) if self.upstream else self.expected_bytes

    def ensure(self, runner: Runner) -> Checkpoint:
        """As `Upstream.ensure`."""
        return checkpoint_of(runner.run(self))

    def _planned_job(self, store: Store) -> Job:
        return self.make_job(tuple(model.planned(store) for model in self.upstream))


def checkpoint_of(done: Done) -> Checkpoint:
    """The checkpoint a finished step hands on. Raises `EngineOutputError` where it has none."""
    if done.record.checkpoint is None or done.record.format is None:
        raise EngineOutputError(done.record.engine.name, f"{done.record.op} left no checkpoint")
    return Checkpoint(done.entry.path / done.record.checkpoint, done.record.format)


def portable(record: StageRecord, out: Path, root: Path) -> dict[str, Any]:
    """The record as kept in the store: without times, and without the paths of this machine.

    The same work must have the same digest wherever and however often it is done.
    """

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace(str(out), "{out}").replace(str(root), "{store}")
        if isinstance(value, dict):
            return {key: clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [clean(item) for item in value]
        return value

    body = record.model_dump(mode="json", exclude={"seconds"})
    cleaned = clean(body)
    assert isinstance(cleaned, dict)
    return cleaned


def _record(entry: Entry, store: Store) -> StageRecord:
    def restore(value: Any) -> Any:
        if isinstance(value, str):
            return value.replace("{out}", str(entry.path)).replace("{store}", str(store.root))
        if isinstance(value, dict):
            return {key: restore(item) for key, item in value.items()}
        if isinstance(value, list):
            return [restore(item) for item in value]
        return value

    try:
        return StageRecord.model_validate(restore(dict(entry.meta)))
    except ValueError as error:
        raise HarnessError(f"entry {entry.key[:12]} holds no stage record: {error}") from error
