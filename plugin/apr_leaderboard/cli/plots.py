"""`apr-leaderboard plots`: pictures of the recorded runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.cli.leaderboard import ReportsOption, known_here
from apr_leaderboard.errors import RequestError
from apr_leaderboard.report import find_runs
from apr_leaderboard.report.plots import FORMATS, pictures_of, save

__all__ = ["plots"]


def plots(
    reports: ReportsOption = Path("reports"),
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to write; REPORTS/plots when not given.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="This picture; repeat for more.")] = None,
    kind: Annotated[list[str] | None, typer.Option("--format", help="svg or png; both when not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Draw pass@k over k, losses, perplexity along stages, size against score, throughput, problems over runs.

    What the runs hold no data for is named with what it would take. The same runs give the same bytes.
    """
    formats = tuple(dict.fromkeys(kind)) if kind else FORMATS
    for one in formats:
        if one not in FORMATS:
            raise RequestError(f"--format: got {one!r}; accepted: {', '.join(FORMATS)}")
    found = list(pictures_of(find_runs(reports), known_here()[0]))
    for name in only or ():
        if name not in {one.name for one in found}:
            raise RequestError(f"--only: got {name!r}; accepted: {', '.join(one.name for one in found)}")
    written: dict[str, list[str]] = {}
    for picture in found:
        if only and picture.name not in only:
            continue
        if picture.draw is None:
            typer.echo(f"{picture.name}: left out, it needs {picture.needs}", err=True)
            continue
        stem = (out or reports / "plots") / picture.name
        try:
            files = save(picture.draw(), stem, formats)
        except OSError as error:
            raise RequestError(f"{stem}: cannot be written: {error.strerror}; accepted: --out DIR") from None
        written[picture.name] = [str(file) for file in files]
        if not as_json:
            typer.echo("\n".join(written[picture.name]))
    if as_json:
        typer.echo(json.dumps(written, indent=1))
