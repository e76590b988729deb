"""`apr-leaderboard store`: what is kept, what may go, and whether it is intact."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    track,
)

from apr_leaderboard.cli.figures import format_age, format_size, parse_size
from apr_leaderboard.errors import RequestError
from apr_leaderboard.store import Corruption, Entry, GcReport, Remote, Store, VerifyProgress

__all__ = ["app"]

app = typer.Typer(help="The store of finished results: list it, clean it, check it.")

StoreOption = Annotated[
    Path | None,
    typer.Option("--store", envvar="APR_STORE", help="The store's folder; the user's cache folder when not given."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.callback(invoke_without_command=True)
def _store(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("ls")
def list_entries(
    store: StoreOption = None,
    op: Annotated[str, typer.Option("--op", help="Only results of this operation, such as import or finetune.")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the results kept: key, operation, engine, size, age, last use, and what they were made with."""
    opened = _open(store)
    now = time.time()
    entries = [entry for entry in opened.entries() if not op or entry.node["op"] == op]
    if as_json:
        _print_json([_entry_json(opened, entry) for entry in entries])
        return
    rows: list[tuple[str, ...]] = [("KEY", "OPERATION", "ENGINE", "SIZE", "USED", "PARAMETERS")]
    for entry in entries:
        used = opened.last_used(entry)
        age = format_age(now - used) + " ago" if used is not None else "gone"
        kind = str(entry.node["op"])
        rows.append((entry.key[:12], kind, _engine(entry), format_size(entry.size), age, _params(entry)))
    if entries:
        _print_table(rows)
    total = format_size(sum(entry.size for entry in entries))
    typer.echo(f"{_count(len(entries), 'result')}, {total} in {opened.root}")


@app.command("gc")
def collect(
    store: StoreOption = None,
    keep_days: Annotated[
        float | None, typer.Option(min=0, help="Remove results not used for this many days.", show_default=False)
    ] = None,
    max_size: Annotated[
        str, typer.Option(help="Then remove the least recently used until the rest fits: 20G, 500M, 1.5GiB.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, tell what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Remove what is no longer wanted. What a running program may be using stays.

    With neither limit only leftovers go: what killed programs left, old failures and old damaged results.
    """
    max_bytes = parse_size(max_size) if max_size else None
    opened = _open(store)
    report = opened.gc(keep_days=keep_days, max_bytes=max_bytes, dry_run=dry_run)
    if as_json:
        _print_json({**asdict(report), "freed_bytes": report.freed_bytes})
        return
    _print_gc(report)


@app.command("verify")
def verify(
    store: StoreOption = None,
    quarantine: Annotated[
        bool, typer.Option("--quarantine", help="Move damaged results away, so that they are made anew.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Read every result and compare it with what was written. Exit code 1 when anything is damaged."""
    opened = _open(store)
    with _progress_bar() as bar:
        report = opened.verify(quarantine=quarantine, progress=bar)
    if as_json:
        damaged = [asdict(corruption) for corruption in report.corruptions]
        _print_json({"entries": report.entries, "bytes": report.bytes, "ok": report.ok, "corruptions": damaged})
    else:
        for corruption in report.corruptions:
            typer.echo(_damage_line(corruption))
        outcome = "all intact" if report.ok else f"{len(report.corruptions)} damaged"
        typer.echo(f"{_count(report.entries, 'result')} read ({format_size(report.bytes)} intact): {outcome}")
    if not report.ok:
        raise typer.Exit(1)


@app.command("push")
def push(
    url: Annotated[str, typer.Argument(help="Where to: any URL that fsspec opens, such as s3://bucket/path.")],
    store: StoreOption = None,
) -> None:
    """Put every result that is here and not there into a shared store, as `--apr-store URL` would have."""
    opened, remote = _open(store), Remote(url)
    entries = list(opened.entries())
    known = set(remote.keys())
    new = [entry for entry in entries if entry.key not in known]
    for entry in track(new, "pushing", console=Console(stderr=True), transient=True):
        opened.push(remote, entry.key)
    total = format_size(sum(entry.size for entry in new))
    typer.echo(f"{_count(len(new), 'result')} pushed ({total}), {len(entries) - len(new)} there already: {remote.url}")


def _open(root: Path | None) -> Store:
    root = root if root is not None else Store.default_root()
    if root.exists() and not root.is_dir():
        raise RequestError(f"--store {root}: is a file; allowed: a folder")
    return Store(root)


def _entry_json(store: Store, entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "digest": entry.digest,
        "path": str(entry.path),
        "size": entry.size,
        "created": entry.created,
        "last_used": store.last_used(entry),
        "node": entry.node,
        "meta": entry.meta,
        "files": {name: asdict(record) for name, record in entry.files.items()},
    }


def _engine(entry: Entry) -> str:
    engine = entry.node["engine"]
    return f"{engine['name']} {engine['version']}" if engine else "-"


def _params(entry: Entry) -> str:
    """The parameters on one line: `a=1 b=[1,2]`."""

    def brief(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))

    params: Mapping[str, Any] = entry.node["params"]
    return " ".join(f"{name}={brief(value)}" for name, value in sorted(params.items())).replace("\n", " ") or "-"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    """Aligned columns; the last one is cut at the terminal's edge, and whole in a pipe."""
    console = Console()
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        line = "  ".join([*(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]])
        if console.is_terminal and len(line) > console.width:
            line = line[: console.width - 1] + "…"
        typer.echo(line)


def _print_gc(report: GcReport) -> None:
    verb = "would remove" if report.dry_run else "removed"
    for removal in report.removed:
        used = format_age(time.time() - removal.last_used)
        typer.echo(f"{verb} {removal.key[:12]} {removal.op or '?'} ({format_size(removal.size)}, used {used} ago)")
    for name in report.leftovers:
        typer.echo(f"{verb} {name}")
    if report.in_use:
        typer.echo(f"{_count(len(report.in_use), 'result')} kept beyond the limit: may be in use by a running program")
    freed = format_size(report.freed_bytes)
    kept = f"{_count(report.kept, 'result')} kept ({format_size(report.kept_bytes)})"
    typer.echo(f"{verb} {_count(len(report.removed), 'result')} ({freed}) and "
               f"{_count(len(report.leftovers), 'leftover')}; {kept}")  # fmt: skip


def _damage_line(corruption: Corruption) -> str:
    moved = f"; moved to {corruption.moved_to}" if corruption.moved_to else ""
    return f"damaged: {corruption}{moved}"


@contextmanager
def _progress_bar() -> Iterator[Any]:
    """A callback for `Store.verify`: a bar on stderr where that is a terminal, silent elsewhere."""
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading", total=None)

        def show(progress: VerifyProgress) -> None:
            bar.update(task, completed=progress.done_bytes, total=progress.total_bytes)

        yield show


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=1, sort_keys=True))
