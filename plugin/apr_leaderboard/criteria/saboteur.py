"""A saboteur: the same engine, or the same data, with exactly one property broken.

A criterion whose test stays green with its saboteur in place shows nothing.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apr_leaderboard.engine import Engine, GenerateJob, Job, Sink, Watch
from apr_leaderboard.model.generation import Completion, Prompt
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, StageRecord

__all__ = ["SabotagedEngine", "Saboteur"]


@dataclass(frozen=True)
class Saboteur:
    """What is broken, in `words`, and how.

    `ops` are the operations that the broken engine does, others stay with the sound one; `job` changes what it is asked
    for, `leave` what it leaves in its folder, `answer` what it says to a prompt. `given` changes what a test takes
    through `Trial.given`. `stands_in`: the profile's own model takes the place of one that is not here, since what the
    saboteur does to it does not depend on which it is.
    """

    name: str
    words: str
    ops: frozenset[str] = frozenset()
    job: Callable[[Any], Job] | None = None
    leave: Callable[[Any, Path, StageRecord], StageRecord] | None = None
    answer: Callable[[Prompt, Completion], Completion] | None = None
    given: Callable[[Any], Any] | None = None
    stands_in: bool = False


class SabotagedEngine:
    """An engine in a saboteur's hands. What it makes has keys of its own: its build is another one."""

    def __init__(self, engine: Engine, saboteur: Saboteur) -> None:
        self._engine = engine
        self._saboteur = saboteur

    @property
    def name(self) -> str:
        """The sound engine's."""
        return self._engine.name

    def identity(self) -> EngineIdentity:
        """The sound engine's, with a build that tells the saboteur and what it does."""
        sound = self._engine.identity()
        parts = [sound.build, self._saboteur.name, *map(_source, (self._saboteur.job, self._saboteur.leave))]
        parts.append(_source(self._saboteur.answer))
        return sound.model_copy(update={"build": hashlib.sha256("\n".join(parts).encode()).hexdigest()})

    def capabilities(self) -> frozenset[str]:
        """The sound engine's."""
        return self._engine.capabilities()

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        """Of the changed job."""
        return self._engine.command(self._changed(job), out)

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        """Of the changed job."""
        return self._engine.produces(self._changed(job))

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        """Do the changed job, then change what it left."""
        record = self._engine.run(self._changed(job), out, watch)
        if self._saboteur.leave is None or job.op not in self._saboteur.ops:
            return record
        return self._saboteur.leave(job, out, record)

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        """Answer, then change the answers."""
        change, prompts = self._saboteur.answer, {prompt.key: prompt for prompt in job.prompts}

        def take(completion: Completion) -> None:
            sink(completion if change is None else change(prompts[completion.key], completion))

        changed = self._changed(job)
        assert isinstance(changed, GenerateJob), "a saboteur makes no other job of a generation"
        return self._engine.generate(changed, out, take, watch)

    def _changed(self, job: Job) -> Job:
        concerned = self._saboteur.job is not None and job.op in self._saboteur.ops
        return self._saboteur.job(job) if concerned and self._saboteur.job is not None else job


def _source(function: Callable[..., Any] | None) -> str:
    if function is None:
        return ""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return repr(function)
