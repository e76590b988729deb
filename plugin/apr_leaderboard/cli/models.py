"""`apr-leaderboard models`: which models are known, which are here, and getting one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from apr_leaderboard.cli.figures import aligned, format_size
from apr_leaderboard.model.catalogue import Catalogue, ModelEntry, load_catalogue
from apr_leaderboard.model.modelplan import ModelPlan, load_model_plans
from apr_leaderboard.model.source import LocalSource, MadeSource, parse_source
from apr_leaderboard.source import (
    MODEL_FORMS,
    Fetched,
    Watch,
    default_cache,
    default_catalogue,
    fetch,
    find_cached,
    resolve_model,
)

__all__ = ["app"]

app = typer.Typer(help="The models known by name: list them, fetch one.")

CatalogueOption = Annotated[
    Path | None,
    typer.Option("--catalogue", help="The catalogue; the nearest recipes/catalogue.yaml when not given."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", help="Where fetched files are kept; APR_CACHE or the user's cache folder when not given."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]

_BENCHMARKS = ("humaneval", "mbpp")
_HEADINGS: tuple[str, ...] = ("NAME", "PARAMETERS", "FORMAT", "HERE", "HUMANEVAL", "MBPP", "PLAN", "FIRST SOURCE")


@app.callback(invoke_without_command=True)
def list_models(
    context: typer.Context, catalogue: CatalogueOption = None, cache: CacheOption = None, as_json: JsonOption = False
) -> None:
    """List the catalogue: name, parameters, format, whether it is here, published pass@1 in percent, first source.

    The plan is what recipes/models/NAME.yaml means to do with a model.
    """
    if context.invoked_subcommand is not None:
        return
    place = catalogue or default_catalogue(Path.cwd())
    known = load_catalogue(place).models
    plans = load_model_plans(place.parent / "models", known)
    folder = cache or default_cache()
    if as_json:
        typer.echo(json.dumps([_model_json(one, folder, plans.get(one.name)) for one in known.values()], indent=1))
        return
    rows = [_HEADINGS, *(_row(entry, folder, plans.get(entry.name)) for entry in known.values())]
    for line in aligned(rows):
        typer.echo(line)


@app.command("fetch")
def fetch_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=f"What to fetch: {MODEL_FORMS}.")],
    catalogue: CatalogueOption = None,
    cache: CacheOption = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read a file that is here already and check it again.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Get a model from the first of its sources that can be read, check its digest, and say where it lies."""
    entry = resolve_model(model, _load(catalogue))
    start = time.monotonic()
    with _bar() as watch:
        got = fetch(entry, cache=cache or default_cache(), watch=watch, verify=verify)
    seconds = time.monotonic() - start
    if as_json:
        typer.echo(json.dumps(_fetched_json(entry, got, seconds), indent=1))
        return
    for note in got.notes:
        typer.echo(f"note: {note}")
    size = sum(path.stat().st_size for path in ([got.path] if got.path.is_file() else got.path.rglob("*")))
    origin = parse_source(got.source_used).short
    typer.echo(f"{got.path}\nsha256 {got.sha256}, {format_size(size)}, {seconds:.1f} s, from {origin}")


def _load(path: Path | None) -> Catalogue:
    return load_catalogue(path or default_catalogue(Path.cwd()))


def _here(entry: ModelEntry, cache: Path) -> str:
    """Whether the bytes are on this machine."""
    if all(isinstance(source, MadeSource) for source in entry.sources):
        return "made"
    place = find_cached(entry, cache=cache)
    if place is None:
        return "no"
    return "local" if any(isinstance(s, LocalSource) and s.path == str(place) for s in entry.sources) else "cached"


def _row(entry: ModelEntry, cache: Path, plan: ModelPlan | None) -> tuple[str, ...]:
    scores = (entry.published_score(benchmark) for benchmark in _BENCHMARKS)
    kind = f"{entry.format} {entry.quantization}" if entry.quantization else entry.format
    return (
        entry.name,
        "-" if entry.n_parameters is None else _billions(entry.n_parameters),
        kind,
        _here(entry, cache),
        *("-" if score is None else f"{score[0]:g}" for score in scores),
        "-" if plan is None else plan.words,
        entry.sources[0].short,
    )


def _billions(number: int) -> str:
    return f"{number / 1e9:.2f} B" if number >= 1e9 else f"{number / 1e6:.0f} M"


def _model_json(entry: ModelEntry, cache: Path, plan: ModelPlan | None) -> dict[str, Any]:
    place = find_cached(entry, cache=cache)
    known = entry.model_dump(mode="json", exclude_none=True)
    planned = None if plan is None else plan.model_dump(mode="json", exclude_unset=True, by_alias=True)
    return {**known, "here": _here(entry, cache), "path": None if place is None else str(place), "plan": planned}


def _fetched_json(entry: ModelEntry, got: Fetched, seconds: float) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": str(got.path),
        "sha256": got.sha256,
        "source": got.source_used,
        "notes": list(got.notes),
        "seconds": round(seconds, 3),
    }


@contextmanager
def _bar() -> Iterator[Watch]:
    """A progress bar on stderr where that is a terminal, silent elsewhere."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("looking", total=None)

        def show(what: str, done: int, total: int | None) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield show
