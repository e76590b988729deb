"""The reference engine as the suite sees it: each job is a run of the reference program in a process of its own."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast, final

from pydantic import ValidationError

from apr_leaderboard.engine.jobs import AlignJob, BenchJob, DistillJob, FinetuneJob, GenerateJob, Job, MakeSmokeJob
from apr_leaderboard.engine.process import Command, Finished, run_command
from apr_leaderboard.engine.protocol import OnBackend, Progress, Sink, Watch
from apr_leaderboard.engine.reference.argv import PROMPTS_FILE, build_argv, checkpoint_of
from apr_leaderboard.engine.reference.backend import BACKENDS, backend_asked
from apr_leaderboard.engine.reference.ops import EXIT_BAD_INPUT, EXIT_REFUSED, OPS
from apr_leaderboard.engine.reference.prompt_file import write_prompts
from apr_leaderboard.engine.reference.refusals import refusals_of_reference
from apr_leaderboard.engine.reference.sources import engine_sources
from apr_leaderboard.errors import (
    EngineCrashedError,
    EngineError,
    EngineMissingError,
    EngineOutputError,
    EngineRefusedError,
    EngineTimeoutError,
    RequestError,
)
from apr_leaderboard.model.generation import Completion
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, StageRecord

__all__ = ["ReferenceEngine"]

_PINS: Final = ("jax", "jaxlib", "numpy", "optax", "safetensors", "tokenizers", "gguf", "jinja2", "ml_dtypes")
"""The libraries whose versions decide a result."""


@final
class ReferenceEngine:
    """Does every job with JAX and the Python ecosystem's file libraries. `timeout` is seconds a job may take.

    `backend` is cpu or wgpu, by default what APR_REFERENCE_BACKEND says. Raises EngineMissingError where the libraries
    are not installed, AdapterMissingError for wgpu where no adapter is, RequestError for another name.
    """

    name = "reference"

    def __init__(self, *, timeout: float = 4 * 3600.0, backend: str | None = None) -> None:
        missing = [name for name in _PINS if importlib.util.find_spec(name) is None]
        if missing:
            raise EngineMissingError(self.name, missing, "pip install 'apr-leaderboard[reference]'")
        self._timeout = timeout
        self._backend = backend_asked(backend)
        self._on: dict[str, ReferenceEngine] = {self._backend.name: self}

    @property
    def backend(self) -> str:
        """cpu or wgpu."""
        return self._backend.name

    @property
    def backends(self) -> tuple[str, ...]:
        """What it can multiply on."""
        return BACKENDS

    def on_backend(self, backend: str) -> OnBackend:
        """The same engine on that backend; see `engine.on_backend`."""
        if backend not in self._on:  # made once, so that all who ask in one run share what it makes
            self._on[backend] = ReferenceEngine(timeout=self._timeout, backend=backend)
        engine = self._on[backend]
        found = engine._backend
        return OnBackend(engine, found.adapter.get("name", ""), found.probe, shows_libraries=found.name == "wgpu")

    def identity(self) -> EngineIdentity:
        """Version of this package and of jax; the build is a digest of the engine's sources and pinned libraries.

        On wgpu both tell the adapter too.
        """
        return self._identity

    def capabilities(self) -> frozenset[str]:
        """Every operation the program has."""
        return frozenset(OPS)

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        """The exact command; refuses a checkpoint of another engine's own format.

        What the suite makes for itself is made on the CPU, whatever the backend.
        """
        return build_argv(job, out, () if isinstance(job, MakeSmokeJob) else self._backend.words)

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        """As the protocol says."""
        return checkpoint_of(job)

    def refusals(self, job: Job) -> tuple[str, ...]:
        """What the engine will refuse of `job`, or pass over; see `engine.refusals`."""
        return refusals_of_reference(job)

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        """Do any job but a generation, and open what it wrote."""
        if isinstance(job, GenerateJob):
            raise RequestError("a generation is asked for with generate(), which takes a sink")
        if isinstance(job, BenchJob) and job.prompts:
            write_prompts(out / PROMPTS_FILE, job.prompts)
        return self._run(job, out, watch, lambda completion: None)

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        """Answer every prompt. Answers do not depend on which other prompts are asked with them."""
        expected = {prompt.key for prompt in job.prompts}
        if len(expected) != len(job.prompts):
            raise RequestError("two prompts have the same task_id and sample")
        write_prompts(out / PROMPTS_FILE, job.prompts)

        def take(completion: Completion) -> None:
            if completion.key not in expected:
                raise self._wrong_output(job, out, f"an answer to {completion.key}, which is not open")
            expected.discard(completion.key)
            sink(completion)

        record = self._run(job, out, watch, take)
        if expected:
            raise self._wrong_output(job, out, f"no answer to {len(expected)} prompts, such as {min(expected)}")
        return record

    def _run(self, job: Job, out: Path, watch: Watch, sink: Sink) -> StageRecord:
        argv = self.command(job, out)
        listener = _Listener(watch, sink)
        finished = run_command(Command(argv, timeout=self._timeout, name=self.name), on_stdout_line=listener.line)
        self._raise_unless_ok(argv, finished)
        if listener.record is None:
            raise self._wrong_output(job, out, "the program ended well but reported no record")
        record = StageRecord(
            op=job.op, engine=self.identity(), command=argv, seconds=finished.seconds, **listener.record
        )
        if record.checkpoint is not None and record.format is not None:
            if (record.checkpoint, record.format) != self.produces(job):
                raise self._wrong_output(
                    job, out, f"left {record.checkpoint} ({record.format}), not {self.produces(job)}"
                )
            # Imported here: it needs the libraries whose absence the constructor tells in a friendlier way.
            from apr_leaderboard.engine.reference.shown import verify_shown
            from apr_leaderboard.engine.reference.verify import verify_checkpoint
            from apr_leaderboard.engine.reference.verify_training import verify_training

            verify_checkpoint(out / record.checkpoint, record.format, self.name, argv)
            verify_shown(job, out / record.checkpoint, self.name, argv)
            if isinstance(job, FinetuneJob | DistillJob | AlignJob):
                verify_training(job.model.path, out / record.checkpoint, self.name, argv)
        return record

    def _raise_unless_ok(self, argv: tuple[str, ...], finished: Finished) -> None:
        if finished.ok:
            return
        reason = _last_error(finished.stderr_tail)
        kind: type[EngineError] = EngineCrashedError
        if finished.timed_out:
            kind, reason = EngineTimeoutError, f"not done after {self._timeout:g} s"
        elif finished.exit_code == EXIT_BAD_INPUT:
            raise RequestError(reason)
        elif finished.exit_code == EXIT_REFUSED:
            kind = EngineRefusedError
        elif finished.signal is not None:
            reason = f"ended by signal {finished.signal}"
        raise kind(self.name, reason, command=argv, exit_code=finished.exit_code, stderr=finished.stderr_tail)

    def _wrong_output(self, job: Job, out: Path, problem: str) -> EngineOutputError:
        return EngineOutputError(self.name, problem, command=self.command(job, out))

    @cached_property
    def _identity(self) -> EngineIdentity:
        version = importlib.metadata.version("apr-leaderboard")
        pins = [f"{name}=={importlib.metadata.version(name)}" for name in _PINS]
        build = hashlib.sha256("\n".join([*pins, engine_sources()]).encode()).hexdigest()
        jax_version = importlib.metadata.version("jax")
        told = f"{version}+jax{jax_version}{self._backend.version}"
        return EngineIdentity(name=self.name, version=told, build=self._backend.build_of(build))


class _Listener:
    """Takes the program's lines apart; `record` is what the last one said."""

    def __init__(self, watch: Watch, sink: Sink) -> None:
        self.record: dict[str, Any] | None = None
        self._watch = watch
        self._sink = sink

    def line(self, text: str) -> None:
        """One line of stdout; raises EngineOutputError for one that is no document of ours."""
        try:
            ((kind, value),) = cast("dict[str, Any]", json.loads(text)).items()
            document: Progress | Completion | dict[str, Any]
            if kind == "progress":
                document = Progress(**value)
            elif kind == "completion":
                document = Completion.model_validate_json(json.dumps(value))
            elif kind == "record":
                document = dict(value)
            else:
                raise ValueError(kind)
        except (ValueError, AttributeError, TypeError, ValidationError):
            raise EngineOutputError("reference", f"unexpected output: {text[:200]!r}") from None
        # Outside the try: what a watch or a sink raises is the caller's own and must pass as it is.
        if isinstance(document, Progress):
            self._watch(document)
        elif isinstance(document, Completion):
            self._sink(document)
        else:
            self.record = document


def _last_error(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (told or lines or ["no word on stderr"])[-1]
