"""A peer as the suite sees it: it answers prompts, in a process of its own Python, and does nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, final

from apr_leaderboard.engine.jobs import GenerateJob, Job
from apr_leaderboard.engine.peers.listening import Listener
from apr_leaderboard.engine.peers.rendering import render_prompts, write_rendered
from apr_leaderboard.engine.process import Command, Finished, run_command
from apr_leaderboard.engine.protocol import Sink, Watch
from apr_leaderboard.errors import (
    EngineCrashedError,
    EngineError,
    EngineMissingError,
    EngineOutputError,
    EngineRefusedError,
    EngineTimeoutError,
    RequestError,
)
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, Finding, StageRecord

__all__ = ["Peer", "PeerEngine"]

PROMPTS_FILE: Final = "prompts.jsonl"
"""Where a generation's rendered prompts are written, inside the out folder."""
_WORKER: Final = Path(__file__).with_name("worker")
_VERSIONS_SECONDS: Final = 300.0
_WRONG_FLAG: Final = "error: argument "
_EXIT_USAGE, _EXIT_BAD_INPUT, _EXIT_MISSING, _EXIT_REFUSED = 2, 3, 4, 5


@dataclass(frozen=True)
class Peer:
    """What tells one peer from another.

    `settings` are the worker's flags; each has a variable APR_NAME_FLAG that is read instead where it is set, as
    APR_NAME_PYTHON is for the interpreter. `key` is the library whose version is the engine's.
    """

    name: str
    formats: tuple[CheckpointFormat, ...]
    key: str
    extra: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def variable(self, setting: str) -> str:
        """The name of a setting's environment variable."""
        return f"APR_{self.name}_{setting}".upper().replace("-", "_")


@final
class PeerEngine:
    """Answers prompts with another program's libraries. `timeout` is seconds a generation may take.

    Raises EngineMissingError where the interpreter named for it lacks them.
    """

    def __init__(self, peer: Peer, *, timeout: float = 4 * 3600.0) -> None:
        self.peer = peer
        self._timeout = timeout
        self._python = os.environ.get(peer.variable("python")) or sys.executable
        self._flags: list[str] = []
        for setting, default in peer.settings.items():
            self._flags += [f"--{setting}", os.environ.get(peer.variable(setting)) or default]
        self._versions = self._ask_versions()

    @property
    def name(self) -> str:
        """As typed after --apr-engine."""
        return self.peer.name

    def identity(self) -> EngineIdentity:
        """The key library's version; the build is a digest of all versions, settings, device and the worker."""
        return self._identity

    def capabilities(self) -> frozenset[str]:
        """Answering prompts, and no other job."""
        return frozenset({GenerateJob.op})

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        """The exact command; refuses every job but a generation, and checkpoints the peer does not read."""
        if not isinstance(job, GenerateJob):
            raise self._refused(job)
        if job.model.format not in self.peer.formats:
            accepted = ", ".join(self.peer.formats)
            raise EngineRefusedError(
                self.name, f"{job.model.path}: got format {job.model.format!r}; accepted: {accepted}"
            )
        params = job.params
        words = ["--model", str(job.model.path), "--prompts", str(out / PROMPTS_FILE)]
        words += ["--max-tokens", str(params.max_tokens), "--temperature", repr(params.temperature)]
        words += ["--top-k", str(params.top_k), "--top-p", repr(params.top_p)]
        return (self._python, str(_WORKER), self.name, *words, *self._flags)

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        """Refuses: a peer leaves no checkpoint."""
        raise self._refused(job)

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        """Refuses every job; a generation is asked for with `generate`."""
        del out, watch
        if isinstance(job, GenerateJob):
            raise RequestError("a generation is asked for with generate(), which takes a sink")
        raise self._refused(job)

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        """Answer every prompt, rendered here as the reference engine renders it.

        Prompts are answered together, so the last bits of a probability, and with them an answer, may depend on which
        others are asked with it; how many is part of the engine's identity.
        """
        argv = self.command(job, out)
        expected = {prompt.key for prompt in job.prompts}
        if len(expected) != len(job.prompts):
            raise RequestError("two prompts have the same task_id and sample")
        write_rendered(out / PROMPTS_FILE, render_prompts(job.model, job.prompts))
        listener = Listener(self.name, expected, watch, sink)
        finished = run_command(
            Command(argv, timeout=self._timeout, name=self.name, log=out / "worker.log"),
            on_stdout_line=listener.line,
        )
        self._raise_unless_ok(argv, finished)
        if expected or listener.figures is None:
            problem = f"no answer to {len(expected)} prompts" if expected else "no figures at its end"
            raise EngineOutputError(self.name, problem, command=argv, stderr=finished.stderr_tail)
        return StageRecord(
            op=job.op,
            engine=self.identity(),
            command=argv,
            figures=listener.figures,
            findings=(*self._findings(listener.figures, argv), *self._undrafted(job, argv)),
            seconds=finished.seconds,
        )

    def _findings(self, figures: Mapping[str, object], argv: tuple[str, ...]) -> tuple[Finding, ...]:
        count = figures.get("n_tokenised_otherwise", 0)
        if not count:
            return ()
        message = f"{count} of {figures.get('n_completions')} prompts are other tokens to {self.name} than to the suite"
        return (Finding(code="tokenised-otherwise", message=message, command=" ".join(argv)),)

    def _undrafted(self, job: GenerateJob, argv: tuple[str, ...]) -> tuple[Finding, ...]:
        if not job.params.draft_tokens:
            return ()
        message = f"draft_tokens {job.params.draft_tokens} is dropped: {self.name} is asked to decode without a draft"
        return (Finding(code="draft-not-honoured", message=message, command=" ".join(argv)),)

    def _refused(self, job: Job) -> EngineRefusedError:
        return EngineRefusedError(
            self.name, f"{job.op} is not offered: {self.name} answers prompts (generate) and does nothing else"
        )

    def _raise_unless_ok(self, argv: tuple[str, ...], finished: Finished) -> None:
        if finished.ok:
            return
        told = [line for line in finished.stderr_tail.splitlines() if line.strip()] or ["no word on stderr"]
        reason = next((line[7:] for line in reversed(told) if line.startswith("error: ")), told[-1])
        kind: type[EngineError] = EngineCrashedError
        if finished.timed_out:
            kind, reason = EngineTimeoutError, f"not done after {self._timeout:g} s"
        elif finished.exit_code == _EXIT_USAGE and _WRONG_FLAG in told[-1]:
            # The suite's own flags are sound, so it is one of the settings; argparse says which flag, and what it got.
            settings = ", ".join(map(self.peer.variable, self.peer.settings))
            raise RequestError(f"{self.name}: {told[-1].partition('error: ')[2]}; set by {settings}")
        elif finished.exit_code == _EXIT_BAD_INPUT:
            raise RequestError(f"{self.name}: {reason}")
        elif finished.exit_code == _EXIT_REFUSED:
            kind = EngineRefusedError
        elif finished.signal is not None:
            reason = f"ended by signal {finished.signal}"
        raise kind(self.name, reason, command=argv, exit_code=finished.exit_code, stderr=finished.stderr_tail)

    def _ask_versions(self) -> dict[str, str]:
        argv = (self._python, str(_WORKER), self.name, "--versions", *self._flags)
        lines: list[str] = []
        command = Command(argv, timeout=_VERSIONS_SECONDS, name=self.name)
        try:
            finished = run_command(command, on_stdout_line=lines.append)
        except EngineCrashedError as error:
            raise self._missing(str(error)) from error
        if finished.exit_code == _EXIT_MISSING:
            raise self._missing(finished.stderr_tail.strip().removeprefix("error: "))
        self._raise_unless_ok(argv, finished)
        try:
            versions = json.loads(lines[-1])["versions"]
            return {str(key): str(value) for key, value in versions.items()}
        except (IndexError, KeyError, ValueError, AttributeError):
            raise EngineOutputError(self.name, f"unexpected output: {lines[-1:]!r:.200}", command=argv) from None

    def _missing(self, why: str) -> EngineMissingError:
        hint = f"pip install 'apr-leaderboard[{self.peer.extra}]', or name a Python that has it in "
        return EngineMissingError(self.name, (self._python,), f"{hint}{self.peer.variable('python')} ({why})")

    @cached_property
    def _identity(self) -> EngineIdentity:
        digest = hashlib.sha256(json.dumps(self._versions, sort_keys=True).encode())
        digest.update(" ".join(self._flags).encode())
        for file in sorted(_WORKER.glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        shown = [
            self._versions[self.peer.key],
            *(self._versions[k] for k in ("dtype", "device") if k in self._versions),
        ]
        return EngineIdentity(name=self.name, version="+".join(shown), build=digest.hexdigest())
