"""Benchmarks and their problems, for commands that need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apr_leaderboard.bench import Benchmark, Problem, load
from apr_leaderboard.errors import AprLeaderboardError, RequestError, SourceUnavailableError
from apr_leaderboard.source import default_cache, fetch

__all__ = ["data_file", "problems_of"]


def data_file(benchmark: Benchmark, given: Path | None = None) -> Path:
    """The file the user named, else the first of the benchmark's sources that can be had.

    Raises `RequestError` for a benchmark without any, `SourceUnavailableError` where none can be had.
    """
    if given is not None:
        return given
    tried: list[str] = []
    for one in benchmark.data:
        with _noted(tried):
            return fetch(one.source, cache=default_cache()).path
    if not tried:
        raise RequestError(f"{benchmark.name} names no data; accepted: --data FILE")
    raise SourceUnavailableError(
        benchmark.name, [*tried, "a file of yours can be named: --data FILE, --against NAME=FILE"]
    )


def problems_of(benchmark: Benchmark, given: Path | None = None) -> tuple[Problem, ...]:
    """A benchmark's problems. Raises as `data_file`, and `FileFormatError` for a file that is none of its own."""
    return load(benchmark, data_file(benchmark, given)).problems


@contextmanager
def _noted(tried: list[str]) -> Iterator[None]:
    """Note why a source was no good, and go on to the next."""
    try:
        yield
    except AprLeaderboardError as error:
        tried.append(str(error))
