"""What the formats that ask for Python code share."""

from __future__ import annotations

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.extraction import extract_function
from apr_leaderboard.bench.extraction.syntax import parse
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.errors import RequestError

__all__ = ["FunctionFormat", "as_text", "fenced", "option"]


class FunctionFormat:
    """Extraction and planted failure for a problem whose check calls `entry_point`."""

    options: frozenset[str] = frozenset()

    def extract(self, text: str, problem: Problem, prefill: str) -> Extraction:
        """See `extract_function`."""
        return extract_function(text, problem, prefill)

    def source(self, problem: Problem, program: str) -> str:
        """The program as it is, after the problem's own setup."""
        return problem.setup + program

    def reference(self, problem: Problem, program: str) -> str:
        """As an answer's."""
        return self.source(problem, program)

    def planted_wrong(self, problem: Problem) -> str:
        """A function that takes anything and returns something equal to nothing else."""
        return f"def {problem.entry_point}(*args, **kwargs):\n    return object()\n"


def as_text(program: str, name: str) -> str:
    """Code that binds `name` to the program's text, for checks that run it more than once.

    A program that is no Python is given as it is, so that its verdict is a syntax error like any other's.
    """
    return f"{name} = {program!r}\n" if parse(program) is not None else program


def fenced(code: str) -> str:
    """The code as a Python block, with no blank line at either end."""
    return f"```python\n{code.strip(chr(10))}\n```"


def option(benchmark: Benchmark, name: str, allowed: tuple[str, ...]) -> str:
    """A benchmark's option; the first allowed value where it is not set. Raises `RequestError` for any other value."""
    value = benchmark.options.get(name, allowed[0])
    if value not in allowed:
        accepted = ", ".join(allowed)
        raise RequestError(f"benchmark {benchmark.name}: option {name} is {value!r}; allowed: {accepted}")
    return value
