"""Everything that can go wrong, as one tree.

Three kinds of trouble, never mixed:

- the candidate is wrong: a record, never an exception;
- the harness or the engine broke: `HarnessError` and below, shown by pytest as an error;
- the request is wrong: `RequestError` and below, turned into a one-line usage error (exit code 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

__all__ = [
    "AdapterMissingError",
    "AlertError",
    "AprLeaderboardError",
    "CorruptEntryError",
    "DigestMismatchError",
    "EngineCrashedError",
    "EngineError",
    "EngineMissingError",
    "EngineOutputError",
    "EngineRefusedError",
    "EngineTimeoutError",
    "FileFormatError",
    "HarnessError",
    "InvalidRunError",
    "RequestError",
    "SandboxError",
    "SourceUnavailableError",
    "StageFailedError",
    "StoreError",
]


class AprLeaderboardError(Exception):
    """The root: every error this package raises on purpose is one of these."""


# -- the request is wrong ---------------------------------------------------------------------------------------------


class RequestError(AprLeaderboardError):
    """What the user asked for cannot be done as asked; the message is one line and says what is accepted."""


class EngineMissingError(RequestError):
    """The engine asked for is not installed here; `hint` says how to get it."""

    def __init__(self, engine: str, looked_in: Sequence[str], hint: str) -> None:
        self.engine = engine
        self.looked_in = tuple(looked_in)
        self.hint = hint
        super().__init__(f"engine {engine!r} not found (looked in: {', '.join(self.looked_in)}); {hint}")


class AdapterMissingError(RequestError):
    """Work was asked of an adapter for `backend`, and none is here, or nothing to find one with; `lacking` says which.

    `command` is what was asked for it.
    """

    def __init__(self, lacking: str, *, backend: str = "wgpu", command: Sequence[str] = ()) -> None:
        self.lacking = lacking
        self.backend = backend
        self.command = tuple(command)
        super().__init__(f"no {backend} adapter: {lacking}")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only fields need help to cross a process boundary.
        return (_rebuild_adapter_missing_error, (self.lacking, self.backend, self.command))


def _rebuild_adapter_missing_error(lacking: str, backend: str, command: tuple[str, ...]) -> AdapterMissingError:
    return AdapterMissingError(lacking, backend=backend, command=command)


class FileFormatError(RequestError):
    """A file the user wrote breaks its format: where, what was got, and what is allowed there."""

    def __init__(
        self, file: Path | str, where: str, problem: str, *, allowed: str = "", line: int = 0, column: int = 0
    ) -> None:
        self.file = str(file)
        self.where = where
        self.problem = problem
        self.allowed = allowed
        self.line = line
        self.column = column
        position = f":{line}:{column}" if line else ""
        dotted = f" {where}:" if where else ""
        accepted = f"; allowed: {allowed}" if allowed else ""
        super().__init__(f"{self.file}{position}:{dotted} {problem}{accepted}")


# -- the harness or an engine broke -----------------------------------------------------------------------------------


class HarnessError(AprLeaderboardError):
    """Something on our side of the line broke; it says nothing about the candidate."""


class StoreError(HarnessError):
    """The store cannot be read or written."""


class CorruptEntryError(StoreError):
    """A stored file's bytes do not match the digest recorded when it was written."""

    def __init__(self, path: Path, expected: str, got: str) -> None:
        self.path = path
        self.expected = expected
        self.got = got
        super().__init__(f"{path}: digest {got[:12]} where {expected[:12]} was written")


class SourceUnavailableError(HarnessError):
    """No source of a model or dataset could be reached; `tried` holds one line each."""

    def __init__(self, name: str, tried: Sequence[str]) -> None:
        self.name = name
        self.tried = tuple(tried)
        super().__init__(f"{name}: no source could be read: " + "; ".join(self.tried))


class DigestMismatchError(HarnessError):
    """Fetched bytes are not the bytes that were promised."""

    def __init__(self, what: str, expected: str, got: str) -> None:
        self.what = what
        self.expected = expected
        self.got = got
        super().__init__(f"{what}: sha256 {got} where {expected} was promised")


class SandboxError(HarnessError):
    """The sandbox itself broke; the program it was running has no verdict."""


class InvalidRunError(HarnessError):
    """The self-check failed, so no score of this run means anything."""


class EngineError(HarnessError):
    """An engine did not do a stage. `command` reproduces it; `stderr` ends with its own words."""

    def __init__(
        self, engine: str, message: str, *, command: Sequence[str] = (), exit_code: int | None = None, stderr: str = ""
    ) -> None:
        self.engine = engine
        self.message = message
        self.command = tuple(command)
        self.exit_code = exit_code
        self.stderr = stderr
        super().__init__(f"{engine}: {message}")

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only fields need help to cross a process boundary.
        fields = (self.engine, self.message, self.command, self.exit_code, self.stderr)
        return (_rebuild_engine_error, (type(self), *fields))


def _rebuild_engine_error(
    kind: type[EngineError], engine: str, message: str, command: tuple[str, ...], exit_code: int | None, stderr: str
) -> EngineError:
    return kind(engine, message, command=command, exit_code=exit_code, stderr=stderr)


class EngineRefusedError(EngineError):
    """The engine says it will not or cannot do this; its own words are the message."""


class EngineCrashedError(EngineError):
    """The engine ended abnormally: by a signal, a panic, or an exit code it does not explain."""


class EngineTimeoutError(EngineError):
    """The engine did not finish in the time it was given; its whole process group was ended."""


class EngineOutputError(EngineError):
    """The engine reported success, but what it wrote is not what it was asked for."""


class AlertError(EngineError):
    """A figure of the stage met a condition that its recipe says to stop at; the message says which."""

    def __init__(
        self, engine: str, message: str, *, command: Sequence[str] = (), exit_code: int | None = None, stderr: str = ""
    ) -> None:
        super().__init__(engine, message, command=command, exit_code=exit_code, stderr=stderr)
        self.args = (f"alert: {message}",)  # who trained says nothing here: the figure does


class StageFailedError(HarnessError):
    """A stage could not be reached because an earlier one failed."""

    def __init__(self, stage: str, failed: str, reason: str) -> None:
        self.stage = stage
        self.failed = failed
        self.reason = reason
        super().__init__(f"{stage} not reached: {failed} failed: {reason}")
