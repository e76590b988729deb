"""`apr-leaderboard contracts`: what each contract's obligations come to, and whether the checks can fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.cli.compare import load_run
from apr_leaderboard.cli.figures import aligned
from apr_leaderboard.engine import make_engine
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.contract import load_contract
from apr_leaderboard.model.results import ObligationOutcome, ObligationResult
from apr_leaderboard.pipeline import Settings, Workbench
from apr_leaderboard.proof import Lab, bind, built_in_checks, coverage_of, coverage_table, settle
from apr_leaderboard.store import Store

__all__ = ["contracts"]


def contracts(
    folder: Annotated[Path, typer.Option("--contracts", help="The folder of contracts.")] = Path("contracts"),
    results: Annotated[
        Path | None, typer.Option("--results", help="Read a run's results.json instead of running the checks.")
    ] = None,
    only: Annotated[str, typer.Option("--only", help="One contract, by its name.")] = "",
    store: Annotated[Path | None, typer.Option("--store", envvar="APR_STORE", help="The store's folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print each obligation as JSON.")] = False,
) -> None:
    """Print the table: contract, obligations, proved, tested, measured, open, saboteurs red.

    Exit code 1 says that an obligation is violated, or that something that is not open is not bound.
    """
    found = list(load_run(results).obligations) if results is not None else _run(folder, only, store)
    if only:
        found = [one for one in found if one.contract == only]
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
    else:
        _show(found)
    if any(one.outcome is not ObligationOutcome.OPEN and one.saboteur != "red" for one in found):
        raise typer.Exit(1)


def _run(folder: Path, only: str, store: Path | None) -> list[ObligationResult]:
    files = sorted(folder.glob(f"{only or '*'}.yaml"))
    if not files:
        raise RequestError(f"{folder}: got no contract{f' {only!r}' if only else ''}; allowed: a folder of *.yaml")
    workbench = Workbench(
        root=folder.absolute().parent,
        store_root=(store or Store.default_root()).expanduser().absolute(),
        run_folder=(store or Store.default_root()).expanduser().absolute() / "runs" / "contracts",
        settings=Settings(),
        make_engine=make_engine,
    )
    lab = Lab(lambda: workbench)
    found = []
    try:
        for file in files:
            loaded = load_contract(file)
            bound = bind(loaded, built_in_checks(file.stem))
            for obligation in loaded.value.proof_obligations:
                found.append(settle(file.stem, loaded.value, obligation, bound, lab))
    finally:
        workbench.close()
    return found


def _show(found: list[ObligationResult]) -> None:
    for line in aligned(coverage_table(found)):
        typer.echo(line)
    coverage = coverage_of(found)
    share = "not measured" if coverage.share is None else f"{coverage.share:.1%}"
    typer.echo(f"binding coverage: {coverage.bound} of {coverage.total} obligations ({share})")
    for one in found:
        if one.outcome is ObligationOutcome.OPEN:
            typer.echo(f"open: {one.contract}::{one.id}: {one.evidence}")
        elif one.saboteur != "red":
            typer.echo(f"{one.outcome.value}, saboteur {one.saboteur}: {one.contract}::{one.id}: {one.evidence}")
