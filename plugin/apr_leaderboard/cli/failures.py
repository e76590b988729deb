"""`apr-leaderboard failures RUN`: why answers did not pass."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.cli.compare import load_run, pick
from apr_leaderboard.cli.figures import aligned, some
from apr_leaderboard.errors import RequestError
from apr_leaderboard.report import RecordedRun
from apr_leaderboard.report.analysis import Failures, failures_of, judged_answers

__all__ = ["failures", "recorded"]

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A report folder written with --apr-report.")]


def failures(
    run: RunArgument,
    benchmark: Annotated[str | None, typer.Option(help="Only this benchmark.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    engine: Annotated[str | None, typer.Option(help="Only this engine.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Count a run's samples by verdict, by the error that ended them, and by how their program was found.

    Many of one error with one cause (a missing import, a cut-off answer) are a fault of the prompt, the extraction or
    the engine rather than of the model: look at one with `apr-leaderboard explain RUN TASK`.
    """
    found = recorded(run)
    names = [benchmark] if benchmark else list(dict.fromkeys(one.name for one in found.results.benchmarks))
    if not names:
        raise RequestError(f"{run}: judged no benchmark; accepted: a run of one")
    told = {}
    for name in names:
        result = pick(found.results, name, model, engine)
        told[f"{name} on {result.model} by {result.engine}"] = failures_of(judged_answers(found, result, texts=False))
    if as_json:
        typer.echo(json.dumps({title: asdict(one) for title, one in told.items()}, indent=1, ensure_ascii=False))
        return
    for title, one in told.items():
        typer.echo("\n".join([f"{title}: {one.passed} of {one.samples} samples passed", *_lines(one)]))


def recorded(path: Path) -> RecordedRun:
    """The run in a folder. Raises `RequestError` for what is none."""
    return RecordedRun(path if path.is_dir() else path.parent, load_run(path))


def _lines(found: Failures) -> list[str]:
    lines = ["  " + ", ".join(f"{name} {count}" for name, count in found.verdicts.items())]
    rows = [
        (f"{one.name} ({one.verdict})" if one.name != one.verdict else one.name, str(one.count), some(one.tasks, 4))
        for one in found.errors
    ]
    table = aligned([("ERROR", "SAMPLES", "TASKS"), *rows]) if rows else []
    for line, one in zip(table, (None, *found.errors), strict=True) if table else ():
        lines.append(f"  {line}")
        lines += [f"      {count} x {text}" for text, count in one.messages] if one else []
    if found.how:
        lines.append("  programs were found: " + ", ".join(f"{name} {count}" for name, count in found.how.items()))
    return lines
