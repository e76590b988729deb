"""Rows of a dataset file, whatever its container: JSON Lines, JSON, either gzipped, or Parquet."""

from __future__ import annotations

import gzip
import importlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from apr_leaderboard.errors import FileFormatError, RequestError

__all__ = ["Row", "read_rows"]

_ACCEPTED = ".jsonl, .jsonl.gz, .json, .json.gz, .parquet"


class Row(NamedTuple):
    """One record and where it stands, for messages."""

    file: Path
    line: int
    """1-based line, or record number where the container has no lines."""
    value: dict[str, Any]

    def wrong(self, where: str, problem: str, allowed: str = "") -> FileFormatError:
        """The error to raise for this row."""
        return FileFormatError(self.file, where, problem, allowed=allowed, line=self.line, column=1)

    def text(self, key: str, default: str | None = None) -> str:
        """A string field. Raises `FileFormatError` where it is missing (and has no default) or is no string."""
        value = self.value.get(key, default)
        if isinstance(value, str):
            return value
        got = "is missing" if value is None else f"is {type(value).__name__}"
        raise self.wrong(key, f"field {got}; the row has {', '.join(sorted(self.value)) or 'nothing'}", "a string")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings; an absent field is an empty list."""
        value = self.value.get(key, [])
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, f"field is {type(value).__name__}", "a list of strings")
        return tuple(value)

    def number(self, key: str) -> int:
        """A whole number. Raises `FileFormatError` otherwise."""
        value = self.value.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        raise self.wrong(key, f"got {value!r}", "a whole number")


def read_rows(path: Path) -> Iterator[Row]:
    """The records of `path`, in file order, one at a time.

    Raises `RequestError` where the file cannot be read or its container is unknown, and `FileFormatError` with the
    line for a record that is not a JSON object.
    """
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        yield from _parquet(path)
        return
    try:
        with _open(path) as stream:
            if name.endswith(".jsonl"):
                yield from _lines(path, stream)
            elif name.endswith(".json"):
                yield from _array(path, stream)
            else:
                raise RequestError(f"{path}: not a dataset container; accepted: {_ACCEPTED}")
    except (OSError, EOFError, zlib.error) as error:
        raise RequestError(f"{path}: cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(path, "", f"not UTF-8 at byte {error.start}", allowed="UTF-8 text") from error


def _open(path: Path) -> IO[str]:
    if path.name.endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8")
    return path.open(encoding="utf-8")


def _lines(path: Path, stream: IO[str]) -> Iterator[Row]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FileFormatError(
                path, "", f"not JSON: {error}", allowed="a JSON object", line=number, column=1
            ) from None
        yield _row(path, number, value)


def _array(path: Path, stream: IO[str]) -> Iterator[Row]:
    try:
        values = json.load(stream)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, "", f"not JSON: {error}", allowed="a JSON array of objects") from None
    if not isinstance(values, list):
        raise FileFormatError(path, "", f"got {type(values).__name__}", allowed="a JSON array of objects")
    for number, value in enumerate(values, start=1):
        yield _row(path, number, value)


def _parquet(path: Path) -> Iterator[Row]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise RequestError(
            f"{path}: reading Parquet needs pyarrow (pip install 'apr-leaderboard[parquet]'), or name a .jsonl"
        ) from None
    try:
        values = (value for batch in parquet.ParquetFile(path).iter_batches() for value in batch.to_pylist())
        for number, value in enumerate(values, start=1):
            yield _row(path, number, value)
    except (OSError, ValueError) as error:  # pyarrow's own errors derive from these
        raise FileFormatError(path, "", f"not Parquet: {error}", allowed="a Parquet file") from error


def _row(path: Path, number: int, value: object) -> Row:
    if not isinstance(value, dict):
        got = type(value).__name__
        raise FileFormatError(path, "", f"got {got}", allowed="a JSON object", line=number, column=1)
    return Row(path, number, value)
