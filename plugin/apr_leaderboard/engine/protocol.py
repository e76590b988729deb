"""What every engine offers, and nothing about how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from apr_leaderboard.engine.jobs import GenerateJob, Job
from apr_leaderboard.model.generation import Completion
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, StageRecord

__all__ = ["Engine", "OnBackend", "Progress", "Sink", "Watch", "ignore_progress"]


@dataclass(frozen=True)
class Progress:
    """How far a job is: `done` of `total` (None: unknown) `unit`s, with a note worth showing.

    `figures` are what a training measures, by name (loss, learning_rate, gradient_norm, tokens_per_second, ...): as of
    the step just done, and only those the engine tells.
    """

    what: str
    done: float
    total: float | None
    unit: str
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


Watch = Callable[[Progress], None]
Sink = Callable[[Completion], None]


def ignore_progress(progress: Progress) -> None:
    """The watch of someone who does not look."""


class Engine(Protocol):
    """Does stages. Two engines are equals; none imitates another, and none falls back in silence.

    An engine may also have `refusals(job: Job) -> tuple[str, ...]`: what it will refuse of a job, or pass over, each
    one line that begins with `refuses: ` or `ignores: `. Pure, like `command`; the plan shows it, and a run warns of
    it. Ask through `apr_leaderboard.engine.refusals_of`, which takes engines that do not have it too.

    An engine that can compute on more than one backend has `backends: tuple[str, ...]`, their names, and
    `on_backend(name: str) -> OnBackend`, which raises `AdapterMissingError` where that one is not here. Ask through
    `apr_leaderboard.engine.on_backend`. An engine on another backend has another identity.

    Errors raised by `run` and `generate`: `EngineRefusedError`, `EngineCrashedError`, `EngineTimeoutError`,
    `EngineOutputError`; see `apr_leaderboard.errors`.
    """

    @property
    def name(self) -> str:
        """As typed after --apr-engine."""
        ...

    def identity(self) -> EngineIdentity:
        """Version and build digest; cheap after the first call."""
        ...

    def capabilities(self) -> frozenset[str]:
        """The `op` of every job this engine can be given."""
        ...

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        """The exact command `run` would start for this job. Pure: touches no file."""
        ...

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        """Name (relative to `out`) and format of the checkpoint this job will leave. Pure.

        Raises `EngineRefusedError` for a job that leaves none.
        """
        ...

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        """Do the job, writing into the empty folder `out`; open and verify what was written before returning."""
        ...

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        """Answer every prompt of the job, calling `sink` once for each as soon as its answer is there."""
        ...


class OnBackend(NamedTuple):
    """An engine that computes on a backend; the adapter as it names it ("" for the CPU), and the command that says so.

    `shows_libraries`: its processes are left no device of the vendors' toolkits, and tell in the figure
    `vendor_libraries` which of these they have loaded at their end.
    """

    engine: Engine
    adapter: str = ""
    command: tuple[str, ...] = ()
    shows_libraries: bool = False
