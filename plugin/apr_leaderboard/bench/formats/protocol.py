"""What a format is: everything that differs between families of benchmarks, in one place each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.rows import Row

__all__ = ["Format"]


class Format(Protocol):
    """Reads rows, finds the program in an answer, and knows what must fail."""

    @property
    def name(self) -> str:
        """As written under `format` in a benchmark."""
        ...

    @property
    def options(self) -> frozenset[str]:
        """The options a benchmark of this format may set."""
        ...

    def problems(self, rows: Iterable[Row], benchmark: Benchmark) -> Iterator[Problem]:
        """The problems in the rows, in order. Raises `FileFormatError` with the row's line."""
        ...

    def extract(self, text: str, problem: Problem, prefill: str) -> Extraction:
        """The program in an answer; looks at the answer and the prompt, never at the tests."""
        ...

    def source(self, problem: Problem, program: str) -> str:
        """The code to run before the problem's check. Raises `RequestError` where this machine cannot run it."""
        ...

    def reference(self, problem: Problem, program: str) -> str:
        """The code to run before the check when `program` is the data's own solution. Raises as `source`."""
        ...

    def planted_wrong(self, problem: Problem) -> str:
        """A program that runs but answers wrongly; its verdict must not be `passed`."""
        ...
