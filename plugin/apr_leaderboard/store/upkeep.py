"""Keeping a store in order: removing what nobody needs, and reading all of it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from apr_leaderboard.store.corruption import Corruption, describe_damage, inspect_entry, quarantine
from apr_leaderboard.store.durable import remove_tree, rename_durably
from apr_leaderboard.store.entry import Damage, Entry, read_manifest
from apr_leaderboard.store.layout import Layout, is_key
from apr_leaderboard.store.lease import oldest_lease
from apr_leaderboard.store.lock import KeyLocks

__all__ = [
    "GcReport",
    "Removal",
    "VerifyProgress",
    "VerifyReport",
    "collect_garbage",
    "remove_entry",
    "sweep",
    "verify_all",
]

_DAY_S = 86_400.0
_KEEP_EVIDENCE_DAYS = 7.0
_KEEP_WORK_DAYS = 30.0


@dataclass(frozen=True)
class Removal:
    """An entry that went, or would go. `size` in bytes, `last_used` in epoch seconds; `why` is 'age' or 'size'."""

    key: str
    op: str
    size: int
    last_used: float
    why: str


@dataclass
class GcReport:
    """What `gc` did, or would do when `dry_run`. Sizes in bytes."""

    dry_run: bool
    removed: list[Removal] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)
    """Keys that should go by age or size, but may be in use by a living process."""
    kept: int = 0
    kept_bytes: int = 0
    leftovers: list[str] = field(default_factory=list)
    """Names, below the root, of unfinished work, old failures and old damaged entries."""

    @property
    def freed_bytes(self) -> int:
        """Bytes in the entries removed, leftovers not counted."""
        return sum(removal.size for removal in self.removed)


@dataclass(frozen=True)
class VerifyProgress:
    """How far a verification is; bytes as the manifests give them."""

    done_entries: int
    total_entries: int
    done_bytes: int
    total_bytes: int


@dataclass
class VerifyReport:
    """What a verification read (`entries`, `bytes`) and found."""

    entries: int = 0
    bytes: int = 0
    corruptions: list[Corruption] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether nothing is damaged."""
        return not self.corruptions


def sweep(layout: Layout, locks: KeyLocks, *, dry_run: bool = False) -> list[str]:
    """Remove what dead makers left in `tmp`, and partial work that was committed; the names of what went.

    Whoever makes an entry holds its key's lock, and a lock dies with its holder: a free lock means a dead maker.
    """
    gone = []
    committed = [(key, layout.workdir(key)) for key in layout.work_keys() if layout.entry(key).is_dir()]
    for key, folder in [*layout.unfinished(), *committed]:
        with locks.try_hold(key) as held:
            if held and folder.exists():
                gone.append(str(folder.relative_to(layout.root)))
                if not dry_run:
                    remove_tree(folder)
    oldest_lease(layout.leases)  # drops the files of the dead
    return gone


def collect_garbage(
    layout: Layout, locks: KeyLocks, *, keep_days: float | None, max_bytes: int | None, dry_run: bool
) -> GcReport:
    """Remove entries not used for `keep_days`, then the least recently used until all fit in `max_bytes`.

    An entry that a living process may be using is never removed. What dead processes left goes too.
    """
    report = GcReport(dry_run)
    report.leftovers += sweep(layout, locks, dry_run=dry_run)
    report.leftovers += _remove_old(layout, locks, keep_days, dry_run)
    in_use_since = oldest_lease(layout.leases)
    found = _entries_by_age(layout)
    total = sum(removal.size for removal in found)
    for removal in found:
        too_old = keep_days is not None and time.time() - removal.last_used > keep_days * _DAY_S
        too_much = max_bytes is not None and total > max_bytes
        gone = False
        if too_old or too_much:
            wanted = Removal(removal.key, removal.op, removal.size, removal.last_used, "age" if too_old else "size")
            spared = in_use_since is not None and removal.last_used >= in_use_since
            gone = not spared and (dry_run or remove_entry(layout, locks, wanted))
            if gone:
                report.removed.append(wanted)
                total -= removal.size
            else:
                report.in_use.append(removal.key)
        if not gone:
            report.kept += 1
            report.kept_bytes += removal.size
    return report


def verify_all(
    layout: Layout, locks: KeyLocks, *, move: bool, progress: Callable[[VerifyProgress], None] | None
) -> VerifyReport:
    """Read every entry whole and compare it with what was written; with `move`, quarantine what is damaged."""
    report = VerifyReport()
    keys = list(layout.entry_keys())
    total = sum(_manifest_size(layout, key) for key in keys)
    done = 0

    def tell(count: int = 0) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(VerifyProgress(report.entries, len(keys), done, total))

    for key in keys:
        tell()
        try:
            found = inspect_entry(layout, key, tell)
        except Damage as damage:
            report.corruptions.append(_report_damage(layout, locks, key, damage, move))
            report.entries += 1
        else:
            if found is not None:
                report.entries += 1
                report.bytes += found[0].size
    tell()
    return report


def _report_damage(layout: Layout, locks: KeyLocks, key: str, damage: Damage, move: bool) -> Corruption:
    if move:
        with locks.try_hold(key) as held:
            if held:
                try:
                    inspect_entry(layout, key)  # it may have been made anew since it was found damaged
                except Damage as still:
                    return quarantine(layout, key, still)
    return describe_damage(layout, key, damage)


def _entries_by_age(layout: Layout) -> list[Removal]:
    """All entries, least recently used first; one whose manifest is damaged counts too."""
    found = []
    for key in layout.entry_keys():
        with suppress(FileNotFoundError):
            last_used = layout.entry(key).stat().st_mtime
            entry = _manifest(layout, key)
            op, size = (str(entry.node["op"]), entry.size) if entry else ("", _tree_size(layout.entry(key)))
            found.append(Removal(key, op, size, last_used, ""))
    return sorted(found, key=lambda removal: (removal.last_used, removal.key))


def remove_entry(layout: Layout, locks: KeyLocks, removal: Removal) -> bool:
    """Remove one entry unless it is locked or was used since `removal` was decided; whether it went."""
    folder = layout.entry(removal.key)
    with locks.try_hold(removal.key) as held:
        if not held or not folder.is_dir():
            return False
        away = layout.tmp / f"{removal.key}.{os.urandom(6).hex()}"
        layout.tmp.mkdir(parents=True, exist_ok=True)
        rename_durably(folder, away)
        if away.stat().st_mtime > removal.last_used:  # got by someone between the decision and the renaming
            rename_durably(away, folder)
            return False
        remove_tree(away)
    return True


def _remove_old(layout: Layout, locks: KeyLocks, keep_days: float | None, dry_run: bool) -> list[str]:
    """Remove old failures, old damaged entries, old partial work and verdicts; the names of what went."""
    gone = []
    now = time.time()
    for path in _evidence(layout):
        if now - _newest(path) > _KEEP_EVIDENCE_DAYS * _DAY_S:
            gone.append(path)
            if not dry_run:
                _remove(path)
    work_days = keep_days if keep_days is not None else _KEEP_WORK_DAYS
    for key in layout.work_keys():
        folder = layout.workdir(key)
        if now - _newest(folder) <= work_days * _DAY_S:
            continue
        with locks.try_hold(key) as held:
            if held:
                gone.append(folder)
                if not dry_run:
                    _remove(folder)
    for folder in sorted(layout.judging.glob("*")):
        # No lock tells of a run that judges there, but it writes all the time.
        if is_key(folder.name) and now - _newest(folder) > max(work_days, 1.0) * _DAY_S:
            gone.append(folder)
            if not dry_run:
                _remove(folder)
    return [str(path.relative_to(layout.root)) for path in gone]


def _evidence(layout: Layout) -> list[Path]:
    """Failures by run and damaged entries: nothing that this store did not put there, should it be pointed wrong."""
    failures = [
        run
        for run in sorted(layout.failures.glob("*"))
        if run.is_dir() and all(is_key(path.stem) or path.name.startswith(".") for path in run.iterdir())
    ]
    return [*failures, *(path for path in sorted(layout.corrupt.glob("*")) if is_key(path.name.partition(".")[0]))]


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)


def _manifest(layout: Layout, key: str) -> Entry | None:
    try:
        return read_manifest(layout.entry(key), key)
    except (Damage, FileNotFoundError):
        return None


def _manifest_size(layout: Layout, key: str) -> int:
    entry = _manifest(layout, key)
    return entry.size if entry is not None else 0


def _tree(path: Path) -> Iterator[os.stat_result]:
    for found in [path, *path.rglob("*")]:
        with suppress(FileNotFoundError):
            yield found.lstat()


def _newest(path: Path) -> float:
    """The time of the last change anywhere below."""
    return max((found.st_mtime for found in _tree(path)), default=time.time())


def _tree_size(path: Path) -> int:
    return sum(found.st_size for found in _tree(path))
