"""`apr-leaderboard compare A B`: two runs on the same tasks, and what their difference is worth."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from apr_leaderboard.bench import Comparison, RateComparison, compare_counts
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import BenchmarkResult, Results
from apr_leaderboard.report import read_results

__all__ = ["compare", "load_run", "pick"]


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
    names = sorted({one.name for one in runs[0].benchmarks} & {one.name for one in runs[1].benchmarks})
    if benchmark is not None:
        names = [name for name in names if name == benchmark]
    if not names:
        shared = ", ".join(sorted({one.name for run in runs for one in run.benchmarks})) or "no benchmark"
        raise RequestError(f"the runs share no benchmark {benchmark or ''}; they have: {shared}".replace("  ", " "))
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
        raise RequestError(f"{path}: cannot be read: {error.strerror}; accepted: a folder with results.json") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RequestError(f"{path}: no results.json of schema 1: {where}: {first['msg']}") from None


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
        have = ", ".join(
            f"{one.model} by {one.engine}" + (f" after {one.after}" if one.after else "") for one in found or fits
        )
        raise RequestError(
            f"{benchmark}: one evaluation is needed, the run has: {have or 'none'}; narrow with --model, --engine"
        )
    return finals[0]


def _compared(first: BenchmarkResult, second: BenchmarkResult) -> Comparison | RateComparison:
    return compare_counts(*({p.task_id: (p.n, p.c) for p in one.problems if p.n} for one in (first, second)))
