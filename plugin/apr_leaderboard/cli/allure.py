"""`apr-leaderboard allure`: what Allure's results need besides being written."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Allure's results: join the shards of a run.")


@app.callback(invoke_without_command=True)
def _allure(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def merge(
    shards: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders that --alluredir wrote.")],
    out: Annotated[Path, typer.Option(help="A new or empty folder for all of them.")],
) -> None:
    """Join the results of shards: the last of each test, recipes put together again, one environment."""
    from apr_leaderboard.report.allure import merge_results  # imports Allure, which nothing else here needs

    merged = merge_results(shards, out)
    typer.echo(
        f"{merged.results} results, {merged.attachments} attachments in {out}"
        + (f"; {merged.replaced} older results of the same tests left out" if merged.replaced else "")
    )
    typer.echo(f"next: npx --yes allure@3.18.0 generate -c {out / 'allurerc.json'} -o REPORT {out}")
