"""`apr-leaderboard oracle`: several runs of one benchmark taken together."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.bench import wilson
from apr_leaderboard.cli.figures import aligned, format_rate, some
from apr_leaderboard.cli.leaderboard import ReportsOption
from apr_leaderboard.errors import RequestError
from apr_leaderboard.report import FoundRuns, find_runs, subject_of
from apr_leaderboard.report.analysis import Oracle, oracle_of

__all__ = ["oracle"]


def oracle(
    reports: ReportsOption = Path("reports"),
    benchmark: Annotated[
        str | None, typer.Option(help="Which; may be left out where only one has several runs.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Only models whose name holds this.")] = None,
    engine: Annotated[str | None, typer.Option(help="Only this engine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Which problems every run solves, which some, which none, and what a perfect choice among the runs would reach.

    A run solves a problem if any of its samples passes. Unstable problems (solved by some) are those that prompts,
    temperatures and engines decide about. Runs whose self-check failed are left aside.
    """
    named, runs = _chosen(find_runs(reports), benchmark, model, engine)
    found = oracle_of(runs)
    if as_json:
        typer.echo(json.dumps({"benchmark": named, "n": found.n, "best_of": found.best_of, **asdict(found)}, indent=1))
        return
    typer.echo("\n".join([f"{named}: {len(runs)} runs over {found.n} problems", *_lines(found)]))


def _chosen(
    found: FoundRuns, benchmark: str | None, model: str | None, engine: str | None
) -> tuple[str, dict[str, dict[str, bool]]]:
    """The benchmark, and its runs by a name that tells them apart."""
    by_benchmark: dict[str, dict[str, dict[str, bool]]] = {}
    for run, result in found.evaluations:
        fits = (model is None or model in result.model) and engine in (None, result.engine)
        if fits and run.results.run.valid:
            name = f"{run.name}: {subject_of(result)}, {result.engine}, {result.profile}"
            runs = by_benchmark.setdefault(result.name, {})
            unique = name if name not in runs else f"{name} ({run.results.run.started})"
            runs[unique] = {problem.task_id: problem.c > 0 for problem in result.problems if problem.n}
    several = [name for name, runs in by_benchmark.items() if len(runs) > 1]
    if benchmark is None and len(several) == 1:
        benchmark = several[0]
    if benchmark is None or benchmark not in by_benchmark:
        counts = ", ".join(f"{name} ({len(runs)})" for name, runs in sorted(by_benchmark.items())) or "none that fits"
        got = "none named" if benchmark is None else repr(benchmark)
        raise RequestError(f"--benchmark: got {got}; accepted: one with at least two runs; there are: {counts}")
    return benchmark, by_benchmark[benchmark]


def _lines(found: Oracle) -> list[str]:
    def share(count: int) -> str:
        return f"{count}/{found.n}  {format_rate(count / found.n, wilson(count, found.n))}"

    rows = [(name, share(count), some(found.only_by[name], 4) or "-") for name, count in found.solved_by_run.items()]
    wobbly = sorted(found.sometimes, key=lambda task: found.sometimes[task])
    lines = [f"  {line}" for line in aligned([("RUN", "SOLVED", "ONLY THIS ONE"), *rows])]
    lines += [
        f"best over runs: {share(found.best_of)}",
        f"always solved: {len(found.always)}",
        f"sometimes solved: {len(found.sometimes)}: {some(wobbly, 12) or 'none'}",
        f"never solved: {len(found.never)}: {some(found.never, 12) or 'none'}",
    ]
    if found.left_out:
        lines.append(f"not judged by every run, left out: {len(found.left_out)}: {some(found.left_out)}")
    return lines
