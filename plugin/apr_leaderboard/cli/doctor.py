"""`apr-leaderboard doctor`: what is here, and what each missing thing would unlock, on one screen."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from apr_leaderboard.cli.surroundings import Seen, look_around

__all__ = ["doctor"]

_WORDS = {True: "here", False: "missing", None: "unknown"}
_COLOURS = {True: "green", False: "yellow", None: "red"}


def doctor(
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="APR_STORE", help="The store's folder; the user's cache folder when not given."),
    ] = None,
    apr_bin: Annotated[
        Path | None, typer.Option("--apr-bin", help="The apr program; APR_BIN, then PATH when not given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what is here (apr and its backends, extras, hub, GPU, sandbox, store) and what the rest would unlock.

    Nothing is changed or downloaded, and nothing that is missing is an error: the exit code is 0.
    """
    seen = look_around(store, apr_bin)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in seen], indent=1))
        return
    _show(seen)


def _show(seen: tuple[Seen, ...]) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in seen:
        missing = "" if one.here or not one.unlocks else f" -> would unlock {one.unlocks}"
        hint = f" ({one.hint})" if one.hint and not one.here else ""
        state = f"[{_COLOURS[one.here]}]{_WORDS[one.here]}[/]"
        table.add_row(one.name, state, escape(f"{one.found}{missing}{hint}"))
    Console(highlight=False, soft_wrap=False).print(table)
