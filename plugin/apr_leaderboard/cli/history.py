"""`apr-leaderboard history`: the same measurement over time."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer

from apr_leaderboard.cli.figures import aligned, format_rate
from apr_leaderboard.cli.leaderboard import ReportsOption
from apr_leaderboard.errors import RequestError
from apr_leaderboard.report import find_runs
from apr_leaderboard.report.analysis import HistoryEntry, history_of

__all__ = ["history"]


def history(
    reports: ReportsOption = Path("reports"),
    benchmark: Annotated[str | None, typer.Option(help="Only this benchmark.")] = None,
    model: Annotated[str | None, typer.Option(help="Only models whose name holds this.")] = None,
    engine: Annotated[str | None, typer.Option(help="Only this engine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Every recorded run of each model and benchmark by date, with what it lost and gained against the one before.

    p is that of `compare`: McNemar's exact test of those flips, of several samples the paired test of the rates. Dates
    are the runs' own, so no git and no database is needed.
    """
    found = history_of(find_runs(reports), benchmark=benchmark, model=model, engine=engine)
    if not found:
        raise RequestError(f"{reports}: no run fits; accepted: a benchmark, model and engine that `leaderboard` shows")
    if as_json:
        typer.echo(json.dumps([_body(entry) for entry in found], indent=1))
        return
    for title, entries in groupby(found, _title):
        rows: list[tuple[str, ...]] = [("STARTED", "SOLVED", "PASS@1", "CHANGE", "P", "ENGINE", "RUN")]
        rows += [_row(entry) for entry in entries]
        typer.echo("\n".join([title, *(f"  {line}" for line in aligned(rows))]))


def _title(one: HistoryEntry) -> str:
    return f"{one.benchmark} on {one.subject} by {one.engine}, {one.profile}, {one.decoding}"


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    change = "-" if entry.lost is None or entry.gained is None else f"-{len(entry.lost)} +{len(entry.gained)}"
    return (
        entry.started.replace("T", " ")[:16],
        f"{entry.solved}/{entry.judged}" + (f" {entry.caveat}" if entry.caveat else ""),
        format_rate(entry.pass_at_1, entry.interval),
        change,
        "-" if entry.p_value is None else f"{entry.p_value:.2g}",
        entry.engine_version or ("stated" if entry.stated else "-"),
        entry.run,
    )


def _body(entry: HistoryEntry) -> dict[str, Any]:
    interval = None if entry.interval is None else entry.interval.model_dump()
    return {**asdict(entry), "interval": interval}
