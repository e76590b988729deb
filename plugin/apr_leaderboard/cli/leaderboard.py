"""`apr-leaderboard leaderboard`: every recorded run as one table, for people and for other programs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.bench import Benchmark, load_suites
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import Catalogue, load_catalogue
from apr_leaderboard.report import board_of, csv_of, find_runs, json_of, markdown_of, page_of
from apr_leaderboard.source import default_catalogue

__all__ = ["ReportsOption", "known_here", "leaderboard"]

ReportsOption = Annotated[
    Path, typer.Option("--reports", help="A folder; every results.json in it and below is read.", metavar="DIR")
]


def known_here() -> tuple[Catalogue | None, tuple[Benchmark, ...]]:
    """The nearest catalogue and its suites; a leaderboard can do without either."""
    try:
        file = default_catalogue(Path.cwd())
    except RequestError:
        return None, ()
    return load_catalogue(file), load_suites(file.parent / "suites")


class _Format(StrEnum):
    """What can be written."""

    HTML = "html"
    MD = "md"
    CSV = "csv"
    JSON = "json"


_SUFFIXES = {".html": _Format.HTML, ".htm": _Format.HTML, ".md": _Format.MD, ".csv": _Format.CSV, ".json": _Format.JSON}


def leaderboard(
    reports: ReportsOption = Path("reports"),
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="Where to write ('-' prints); DIR/leaderboard.FORMAT when not given."
        ),
    ] = None,
    kind: Annotated[
        _Format | None, typer.Option("--format", help="By the file's name when not given, else html.")
    ] = None,
    title: Annotated[str, typer.Option(help="The page's heading.")] = "apr-leaderboard",
) -> None:
    """Models by benchmarks, with intervals, what was published, and a link from every figure to its evidence.

    html is one file that loads nothing from elsewhere; md, csv and json hold the same figures. Links are relative to
    the file, so the folder can be published as it is.
    """
    found = find_runs(reports)
    chosen = kind or (_SUFFIXES.get(out.suffix.lower()) if out else None) or _Format.HTML
    target = out or reports / f"leaderboard.{chosen.value}"
    printed = str(target) == "-"
    folder = reports if printed else target.parent
    board = board_of(found, *known_here())
    write = {_Format.MD: markdown_of, _Format.CSV: csv_of, _Format.JSON: json_of}
    text = page_of(board, folder, title) if chosen is _Format.HTML else write[chosen](board, folder)
    if printed:
        typer.echo(text, nl=False)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{target}: cannot be written: {error.strerror}; accepted: a file in a folder") from None
    typer.echo(f"{target}: {len(board.rows)} rows, {len(board.columns)} columns, from {len(found.runs)} runs")
    for line in found.left_out:
        typer.echo(f"left out: {line}", err=True)
