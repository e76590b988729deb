"""`apr-leaderboard submit RUN --repo OWNER/NAME`: a recipe's model to the hub, looked at first, uploaded when said."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.cli.compare import load_run
from apr_leaderboard.cli.figures import format_size
from apr_leaderboard.cli.grouped import grouped
from apr_leaderboard.engine import make_engine
from apr_leaderboard.errors import RequestError, SourceUnavailableError
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.model.results import Results, StageResult
from apr_leaderboard.model.stage import SubmitParams
from apr_leaderboard.pipeline import Plan, Settings, Workbench
from apr_leaderboard.report.submission import Difference, Written, compare_with_hub, make_submission, upload
from apr_leaderboard.store import Store

__all__ = ["submit"]

_MOST_LINES = 60
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_SIGNS = {"new": "+", "changed": "~", "same": "=", "only there": " "}


@dataclass(frozen=True)
class _Asked:
    """What `submit` is asked."""

    run: Annotated[Path, typer.Argument(metavar="RUN", help="The report folder of the run that made the model.")]
    repo: Annotated[str, typer.Option(help="OWNER/NAME on the hub; the recipe's submit stage's when not given.")] = ""
    recipe: Annotated[str, typer.Option(help="Which recipe, where the run holds several.")] = ""
    engine: Annotated[str, typer.Option(help="Whose model, where several engines ran it.")] = ""
    licence: Annotated[str | None, typer.Option(help="The model's licence; its base model's when not given.")] = None
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("submission")
    root: Annotated[Path, typer.Option(help="The project: where recipes/ is.")] = Path()
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="APR_STORE", help="The store's folder; the user's cache folder when not given."),
    ] = None
    really: Annotated[
        bool, typer.Option("--upload/--dry-run", help="Upload after the checks, or only write and compare.")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", help="Upload without asking.")] = False
    private: Annotated[bool, typer.Option("--private", help="Make the repository a private one.")] = False


@grouped
def submit(asked: _Asked) -> None:
    """Write the exact folder of a submission, check it, and show how it differs from what the hub holds.

    With --upload it is then uploaded, after a question or with --yes, with the token that huggingface_hub finds, and
    only if no check fails. Exit code 1 says that a check failed.
    """
    if asked.repo and not _REPO.fullmatch(asked.repo):
        raise RequestError(f"--repo: got {asked.repo!r}; accepted: OWNER/NAME")
    results = load_run(asked.run)
    made = _made(results, asked.recipe, asked.engine)
    workbench = _workbench(asked.root, asked.store, made)
    try:
        plan = _plan(workbench, asked.root, made)
        repo = asked.repo or _repo_of(plan)
        written = make_submission(workbench, plan, results, asked.out, repo=repo, licence=asked.licence)
    finally:
        workbench.close()
    _show(written)
    differences = _compared(asked.out, repo)
    if written.failed:
        typer.echo("not to be uploaded: " + "; ".join(f"{one.name}: {one.words}" for one in written.failed))
        raise typer.Exit(1)
    if not asked.really:
        typer.echo(f"dry run: {asked.out} is what --upload would send to {repo}")
    elif differences is None:
        raise SourceUnavailableError(repo, ["the hub cannot be asked what it holds"])
    elif not any(one.state in ("new", "changed") for one in differences):
        typer.echo(f"nothing to upload: {repo} holds all of it")
    else:
        _confirm(repo, yes=asked.yes)
        typer.echo(f"uploaded: {upload(asked.out, repo, f'{written.submission.recipe.name}', private=asked.private)}")


def _made(results: Results, recipe: str, engine: str) -> StageResult:
    """A stage of the one recipe and engine meant."""
    found = {
        (one.recipe, one.engine): one
        for one in results.stages
        if recipe in ("", one.recipe) and engine in ("", one.engine)
    }
    if len(found) != 1:
        have = ", ".join(sorted({f"{one.recipe} by {one.engine}" for one in results.stages})) or "no recipe"
        raise RequestError(f"one recipe by one engine is needed; the run has: {have}; narrow with --recipe, --engine")
    return next(iter(found.values()))


def _workbench(root: Path, store: Path | None, made: StageResult) -> Workbench:
    place = (store or Store.default_root()).expanduser().absolute()
    return Workbench(
        root=root.absolute(),
        store_root=place,
        run_folder=place / "runs" / "submit",
        settings=Settings(engines=(made.engine,), profile="real" if made.profile == "real" else "smoke"),
        make_engine=make_engine,
    )


def _plan(workbench: Workbench, root: Path, made: StageResult) -> Plan:
    file = root / "recipes" / f"{made.recipe}.yaml"
    if not file.is_file():
        raise RequestError(f"{file}: no such recipe; accepted: --root, the folder that holds recipes/")
    plan = workbench.plan(load_recipe(file), workbench.engine(made.engine))
    if plan.made is None or plan.made.step is None or workbench.store.peek(plan.made.step.node) is None:
        raise RequestError(
            f"{made.recipe} by {made.engine}: the store {workbench.store.root} does not hold its model"
            "; accepted: --store, or run the recipe again with the engine and files as they are now"
        )
    return plan


def _repo_of(plan: Plan) -> str:
    for stage in plan.stages:
        if isinstance(stage.params, SubmitParams):
            return stage.params.repo
    raise RequestError(f"{plan.recipe.name}: names no repository; accepted: --repo OWNER/NAME")


def _show(written: Written) -> None:
    width = max(len(check.name) for check in written.checks)
    for check in written.checks:
        typer.echo(f"{check.name.ljust(width)}  {check.outcome}: {check.words}")


def _compared(folder: Path, repo: str) -> tuple[Difference, ...] | None:
    """Say what differs; None where the hub cannot be asked."""
    try:
        differences = compare_with_hub(folder, repo)
    except SourceUnavailableError as error:
        typer.echo(f"not compared with the hub: {error}")
        return None
    typer.echo(f"{repo}, here and on the hub (+ new, ~ changed, = same; what is only there is left alone):")
    for one in differences:
        there = " only there" if one.state == "only there" else ""
        typer.echo(f"  {_SIGNS[one.state]} {one.name} {format_size(one.size)}{there}")
        for line in one.lines[:_MOST_LINES]:
            typer.echo(f"      {line}")
    return differences


def _confirm(repo: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise RequestError("--upload: nobody is there to be asked; accepted: --yes")
    typer.confirm(f"upload to {repo}?", abort=True)
