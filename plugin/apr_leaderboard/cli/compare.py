"""`apr-leaderboard compare A B`: two runs on the same tasks, and what their difference is worth."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from apr_leaderboard.bench import Comparison, RateComparison, compare_counts
from apr_leaderboard.errors import InvalidRunError, RequestError
from apr_leaderboard.model.results import BenchmarkResult, Results
from apr_leaderboard.report import read_results, why_unread

__all__ = ["compare", "load_run", "need_valid", "pick"]


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A report folder or its results.json.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The other; B is judged against A.")],
    benchmark: Annotated[str | None, typer.Option(help="Only this benchmark; all they share when not given.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model, in both runs.")] = None,
    engine: Annotated[
        str | None,
        typer.Option(metavar="E[,F]", help="Only this engine; E,F: A's and B's, which may then be the same run."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Compare two runs task by task: which tasks differ, a paired test, and what it could have found.

    One answer a task: McNemar's exact test of the flipped tasks. Several: the tasks' rates, by flipping signs, so
    that runs of 5 and of 10 samples can be compared. Exit code 1: B solves fewer, beyond chance (p < 0.05).
    """
    runs = load_run(first), load_run(second)
    for path, run in zip((first, second), runs, strict=True):
        need_valid(path, run)
    names = _shared(runs, benchmark)
    _tell_other_data(runs, names)
    engines = _engines(engine)
    found = {
        name: _compared(*(pick(run, name, model, one) for run, one in zip(runs, engines, strict=True)))
        for name in names
    }
    if as_json:
        typer.echo(json.dumps({name: asdict(one) for name, one in found.items()}, indent=1))
    else:
        for name, one in found.items():
            typer.echo(f"{name}: {one.statement()}")
    if any(one.significant and one.difference < 0 for one in found.values()):
        raise typer.Exit(1)


def load_run(path: Path) -> Results:
    """A run's results. Raises `RequestError` for what is none."""
    try:
        return read_results(path)
    except OSError as error:
        reason = f"cannot be read: {why_unread(error)}; accepted: a folder with results.json"
    except ValidationError as error:
        reason = f"no results.json of schema 1: {why_unread(error)}; accepted: what --apr-report wrote"
    raise RequestError(f"{path}: {reason}")


def need_valid(path: Path, run: Results) -> None:
    """Raises `InvalidRunError` for a run whose self-check failed."""
    if not run.run.valid:
        raise InvalidRunError(f"{path}: INVALID: its self-check failed, so no score of it counts")


def _shared(runs: tuple[Results, Results], asked: str | None) -> list[str]:
    """The benchmarks to compare. Raises `RequestError` where there is none."""
    have = [{one.name for one in run.benchmarks} for run in runs]
    names = sorted(name for name in have[0] & have[1] if asked in (None, name))
    if not names:
        told = "; ".join(f"{who} has {', '.join(sorted(one)) or 'none'}" for who, one in zip("AB", have, strict=True))
        raise RequestError(f"the runs share no benchmark{'' if asked is None else f' {asked!r}'}: {told}")
    return names


def _tell_other_data(runs: tuple[Results, Results], names: list[str]) -> None:
    """A word on stderr where the tasks go by the same names and may not be the same problems."""
    for name in names:
        first, second = (run.run.datasets.get(name) for run in runs)
        if first and second and first != second:
            typer.echo(f"{name}: A and B read other files of problems: {first[:12]}, {second[:12]} (sha256)", err=True)


def _engines(asked: str | None) -> tuple[str | None, str | None]:
    """A's and B's. Raises `RequestError` for more than two."""
    names = asked.split(",") if asked else [None]
    if len(names) > 2:
        raise RequestError(f"--engine: got {asked!r}; accepted: one engine, or two with a comma between")
    return names[0], names[-1]


def pick(run: Results, benchmark: str, model: str | None, engine: str | None = None) -> BenchmarkResult:
    """The one evaluation of a benchmark (model, engine) in a run: of a recipe's, the last. Raises `RequestError`."""
    fits = [one for one in run.benchmarks if one.name == benchmark and model in (None, one.model)]
    found = [one for one in fits if engine in (None, one.engine)]
    finals = [one for one in found if one.after != "import"] or found
    if len(finals) != 1:
        known = found or fits or [one for one in run.benchmarks if one.name == benchmark]
        have = ", ".join(f"{one.model} by {one.engine}" + (f" after {one.after}" if one.after else "") for one in known)
        raise RequestError(
            f"{benchmark}: one evaluation is needed, the run has: {have or 'none'}; narrow with --model, --engine"
        )
    return finals[0]


def _compared(first: BenchmarkResult, second: BenchmarkResult) -> Comparison | RateComparison:
    return compare_counts(*({p.task_id: (p.n, p.c) for p in one.problems if p.n} for one in (first, second)))
