"""`apr-leaderboard differ`: the program under test against the oracle, over generated models."""

from __future__ import annotations

import shutil
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.cli.figures import aligned
from apr_leaderboard.cli.grouped import grouped
from apr_leaderboard.engine.apr.binary import find_binary, identify
from apr_leaderboard.errors import RequestError
from apr_leaderboard.proof.differ import (
    Campaign,
    Operation,
    Picks,
    Reproducer,
    Seen,
    chosen_operations,
    groups_of,
    shrunk,
    slug_of,
    summary_rows,
    summary_text,
    try_case,
    write_reproducer,
)

__all__ = ["differ"]


@dataclass(frozen=True)
class _Asked:
    """What `differ` is asked."""

    engine: Annotated[str, typer.Option("--engine", help="The engine under test: apr.")] = "apr"
    apr_bin: Annotated[Path | None, typer.Option("--apr-bin", help="The program; else APR_BIN, then PATH.")] = None
    ops: Annotated[str, typer.Option("--ops", help="Operations, with commas; all when not given.")] = ""
    cases: Annotated[int, typer.Option("--cases", min=1, help="Cases of each operation, or its whole grid.")] = 200
    seed: Annotated[int, typer.Option("--seed", help="Of the draw of cases.")] = 0
    out: Annotated[Path, typer.Option("--out", help="Where journal, summary and reproducers go.")] = Path("differ")
    minutes: Annotated[float, typer.Option("--minutes", min=0.0, help="Start no case after this long.")] = 15.0
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Cases tried at a time.")] = 2
    pages: Annotated[
        Path | None, typer.Option("--pages", help="Also write each finding here, as NAME.md and NAME.sh.")
    ] = None
    show_ops: Annotated[bool, typer.Option("--list", help="List the operations and their oracles.")] = False


@grouped
def differ(asked: _Asked) -> None:
    """Compare the engine with the oracle on every operation over generated models, and shrink what differs.

    Each kind of difference becomes a folder in OUT with a `run.sh` that shows it from an empty folder. The same command
    goes on where it was ended; Ctrl-C keeps what was found. Exit code 1 says that something differs.
    """
    operations = chosen_operations(asked.ops)
    if asked.show_ops:
        for operation in operations:
            typer.echo(f"{operation.name:20} {operation.grid:>9} cases  {operation.states}")
        return
    if asked.engine != "apr":
        raise RequestError(
            f"--engine: got {asked.engine!r}; allowed: apr (the reference engine's formulas are the oracle)"
        )
    binary = find_binary(asked.apr_bin)
    campaign = Campaign(binary, identify(binary), operations, asked.cases, asked.seed)
    out = asked.out.absolute()
    taken_up = campaign.open(out)
    if taken_up:
        typer.echo(f"{taken_up} cases are known from {out}", err=True)
    started = time.monotonic()
    try:
        whole = campaign.run(out, asked.jobs, asked.minutes, partial(_tell, sys.stderr.isatty(), started))
    except KeyboardInterrupt:
        whole = False
    found = _reproduce(campaign, out)
    (out / "SUMMARY.md").write_text(
        summary_text(campaign, found, campaign.identity, time.monotonic() - started), encoding="utf-8"
    )
    if asked.pages is not None:
        _publish(found, asked.pages)
    _show(campaign, found, out)
    if not whole:
        typer.echo("not all cases were tried; the same command goes on")
    if found or not whole:
        raise typer.Exit(1)


def _reproduce(campaign: Campaign, out: Path) -> list[Reproducer]:
    """Shrink each kind of difference and write its folder, if its smallest case still shows it."""
    by_name = {operation.name: operation for operation in campaign.operations}
    groups = groups_of(list(campaign.seen.values()))

    def attempt(operation: Operation, picks: Picks) -> Seen:
        key = (operation.name, picks)
        if key not in campaign.seen and key not in tried:
            tried[key] = try_case(campaign.binary, operation, picks)
        return tried.get(key) or campaign.seen[key]

    tried: dict[tuple[str, Picks], Seen] = {}
    found: list[Reproducer] = []
    try:
        for number, group in enumerate(groups, 1):
            operation = by_name[group.operation]
            typer.echo(f"shrinking {number} of {len(groups)}: {group.signature[:90]}", err=True)
            smallest = shrunk(operation, group, attempt)
            again = try_case(campaign.binary, operation, smallest.picks)
            if group.signature not in dict(again.differences):
                typer.echo(f"seen in {group.cases} cases, and not when tried again alone: {group.signature}", err=True)
                continue
            found.append(write_reproducer(out, operation, smallest, campaign.binary, campaign.identity))
    except KeyboardInterrupt:
        typer.echo(f"{len(groups) - len(found)} kinds are not shrunk; the same command goes on", err=True)
    return found


def _publish(found: list[Reproducer], pages: Path) -> None:
    pages.mkdir(parents=True, exist_ok=True)
    for one in found:
        name = slug_of(one.group.signature)
        page = (one.folder / "REPORT.md").read_text(encoding="utf-8").replace("`run.sh`", f"[{name}.sh]({name}.sh)")
        (pages / f"{name}.md").write_text(page, encoding="utf-8")
        shutil.copyfile(one.folder / "run.sh", pages / f"{name}.sh")
        (pages / f"{name}.sh").chmod(0o755)


def _tell(on_terminal: bool, started: float, done: int, total: int, operation: str) -> None:
    """One line that is drawn over on a terminal; elsewhere a line now and then."""
    text = f"{done}/{total} cases, {time.monotonic() - started:.0f} s: {operation}"
    if on_terminal:
        typer.echo(f"\r{text:<70}", nl=done == total, err=True)
    elif done % 500 == 0 or done == total:
        typer.echo(text, err=True)


def _show(campaign: Campaign, found: list[Reproducer], out: Path) -> None:
    for line in aligned(summary_rows(campaign)):
        typer.echo(line)
    typer.echo(f"{len(found)} kinds of difference")
    for one in found:
        typer.echo(f"  {one.summary}: {one.folder.relative_to(out.parent)}/run.sh")
