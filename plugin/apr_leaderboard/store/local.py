"""The store on this machine: results by key, each made once, whole or not at all, and checked when read."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from apr_leaderboard.errors import AprLeaderboardError, StoreError
from apr_leaderboard.store import upkeep
from apr_leaderboard.store.corruption import Corruption, inspect_entry, quarantine
from apr_leaderboard.store.durable import remove_tree, rename_durably, sync_tree
from apr_leaderboard.store.entry import FILES, MANIFEST, Damage, Entry, Signature, read_manifest, seal, stat_signature
from apr_leaderboard.store.failure import FailureMemo
from apr_leaderboard.store.layout import Layout, default_root
from apr_leaderboard.store.lease import Lease
from apr_leaderboard.store.lock import KeyLocks, ignore_waiting
from apr_leaderboard.store.node import Json, Node
from apr_leaderboard.store.remote import Remote

__all__ = ["Build", "Store"]

Build = Callable[[Path], Mapping[str, Json]]
"""Writes a node's files into the empty folder given and returns its meta, plain JSON."""


class Store:
    """A folder of finished results, shared by any number of threads, processes and checkouts of one machine.

    A result is got by its node's key. Every file is read and compared with its digest at the first `get` of each
    process; within the process it is read again only when its size, mtime or inode changed. A damaged entry is moved to
    `corrupt/`, kept in `corruptions`, told to `on_corruption`, and then absent: computing it makes it anew.

    With a `remote`, what is not here is looked for there, and what is made here is put there. What could not be put
    there stays here and is told to `on_unshared`: work that is done is not lost to a network that is down.

    Raises `StoreError` when the folder cannot be read or written, or the remote cannot be asked.
    """

    def __init__(
        self,
        root: Path,
        *,
        remote: Remote | None = None,
        on_corruption: Callable[[Corruption], None] | None = None,
        on_unshared: Callable[[str], None] | None = None,
    ) -> None:
        self.root = Path(root).expanduser().absolute()
        self.remote = remote
        self._on_unshared = on_unshared
        self.corruptions: list[Corruption] = []
        self._on_corruption = on_corruption
        self.layout = Layout(self.root)
        self.locks = KeyLocks(self.layout.locks)
        self.failures = FailureMemo(self.layout.failures)
        self._lease = Lease(self.layout.leases)
        self._verified: dict[str, tuple[Entry, Signature]] = {}
        with suppress(OSError):  # a store that may only be read is left as it is
            upkeep.sweep(self.layout, self.locks)

    @staticmethod
    def default_root() -> Path:
        """Where a user's store lies when no other place is asked for."""
        return default_root()

    def get(self, node: Node | str) -> Entry | None:
        """The finished result of a node (or of the key given), verified; None when there is none or it was damaged."""
        key = node if isinstance(node, str) else node.key
        if not self.layout.entry(key).is_dir():
            return self._pull(key)
        self._lease.ensure()
        with _io(self.root):
            try:
                return self._load(key)
            except Damage:
                pass
            # Looked at once more as its only owner, so that an entry made anew meanwhile is not thrown away. Someone
            # else holding it has seen the damage too and is repairing it.
            with self.locks.try_hold(key) as held:
                return self._load_or_quarantine(key) if held else None

    def peek(self, node: Node | str) -> Entry | None:
        """As `get`, by the manifest alone: nothing is verified, marked as used or moved. For plans, not for results."""
        key = node if isinstance(node, str) else node.key
        with _io(self.root):
            try:
                return read_manifest(self.layout.entry(key), key)
            except (Damage, FileNotFoundError):
                return None

    def path(self, node: Node) -> Path:
        """Where a node's files are or will be."""
        return self.layout.entry(node.key) / FILES

    def compute(
        self,
        node: Node,
        build: Build,
        *,
        run_id: str | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> Entry:
        """The finished result of a node, made by `build` if there is none yet, however many ask at once.

        With `run_id`, an `AprLeaderboardError` raised by `build` is raised again for everyone who asks for the node
        under the same run id. `on_wait` is told when another process is making the node. Raises what `build` raises,
        and `StoreError`.
        """
        found = self.get(node)
        if found is not None:
            return found
        self._raise_known_failure(node, run_id)
        with _io(self.root):
            self.layout.prepare()
        self._lease.ensure()
        with self.locks.hold(node.key, str(node), on_wait or ignore_waiting):
            with _io(self.root):
                found = self._load_or_quarantine(node.key)
            found = found or self._fetch(node.key)
            if found is not None:
                return found
            self._raise_known_failure(node, run_id)
            made = self._make(node, build, run_id)
            self._share(node.key)
            return made

    def push(self, remote: Remote, key: str) -> bool:
        """Put a finished result into another store; False when it is there already. Raises `StoreError`."""
        if remote.has(key):
            return False
        remote.push(key, self.layout.entry(key), self.layout.tmp)
        return True

    def workdir(self, node: Node) -> Path:
        """The folder for a node's partial work: it outlives a kill and is removed when the node is committed.

        Only for the `build` of that node, whose lock keeps others out; raises `StoreError` elsewhere.
        """
        if not self.locks.held_here(node.key):
            raise StoreError(f"{node}: its partial work may be touched only while it is being computed")
        folder = self.layout.workdir(node.key)
        with _io(self.root):
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def entries(self) -> Iterator[Entry]:
        """All finished results by key, from their manifests alone; damaged manifests are left to `verify`."""
        for key in self.layout.entry_keys():
            entry = self.peek(key)
            if entry is not None:
                yield entry

    def last_used(self, entry: Entry) -> float | None:
        """When an entry was last got or made, by whatever process: seconds since the epoch; None when it is gone."""
        with _io(self.root), suppress(FileNotFoundError):
            return self.layout.entry(entry.key).stat().st_mtime
        return None

    def gc(
        self, *, keep_days: float | None = None, max_bytes: int | None = None, dry_run: bool = False
    ) -> upkeep.GcReport:
        """Remove entries not used for `keep_days`, then the least recently used until all fit in `max_bytes`.

        With neither, only what dead processes left, and old failures, damaged entries and partial work. An entry that a
        living process may be using is never removed; `dry_run` removes nothing and tells the same.
        """
        with _io(self.root):
            return upkeep.collect_garbage(
                self.layout, self.locks, keep_days=keep_days, max_bytes=max_bytes, dry_run=dry_run
            )

    def verify(
        self, *, quarantine: bool = False, progress: Callable[[upkeep.VerifyProgress], None] | None = None
    ) -> upkeep.VerifyReport:
        """Read everything and compare it with what was written; with `quarantine`, move damaged entries away."""
        with _io(self.root):
            return upkeep.verify_all(self.layout, self.locks, move=quarantine, progress=progress)

    def close(self) -> None:
        """Say that entries got so far are no longer needed, so that `gc` elsewhere may remove them."""
        self._lease.release()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _raise_known_failure(self, node: Node, run_id: str | None) -> None:
        error = self.failures.recall(run_id, node) if run_id is not None else None
        if error is not None:
            raise error

    def _load(self, key: str) -> Entry | None:
        """The entry, verified and marked as used; None when there is none; raises `Damage`."""
        with suppress(OSError):  # a store that may only be read cannot be collected either
            os.utime(self.layout.entry(key))
        known = self._verified.get(key)
        with suppress(Damage):
            if known is not None and stat_signature(known[0]) == known[1]:
                return known[0]
        found = inspect_entry(self.layout, key)
        if found is None:
            return None
        self._verified[key] = found
        return found[0]

    def _load_or_quarantine(self, key: str) -> Entry | None:
        """As `_load`, for the holder of the key's lock: a damaged entry is moved away and reported."""
        try:
            return self._load(key)
        except Damage as damage:
            corruption = quarantine(self.layout, key, damage)
        self._verified.pop(key, None)
        self.corruptions.append(corruption)
        if self._on_corruption is not None:
            self._on_corruption(corruption)
        return None

    def _pull(self, key: str) -> Entry | None:
        """What the remote has under a key, as an entry of this store; None also while another process is at it."""
        if self.remote is None or not self.remote.has(key):
            return None
        with _io(self.root):
            self.layout.prepare()
        self._lease.ensure()
        with self.locks.try_hold(key) as held:
            if not held:
                return None
            with _io(self.root):
                found = self._load_or_quarantine(key)
            return found or self._fetch(key)

    def _fetch(self, key: str) -> Entry | None:
        """Bring an entry from the remote. The caller holds the key's lock. A damaged one is reported and left there."""
        if self.remote is None:
            return None
        folder = self.layout.tmp / f"{key}.{os.urandom(6).hex()}"
        try:
            with _io(self.root):
                folder.mkdir(parents=True)
                if not self.remote.fetch(key, folder):
                    return None
                sync_tree(folder)
                rename_durably(folder, self.layout.entry(key))
                return self._load(key)
        except Damage as damage:
            corruption = Corruption(key, "", damage.file, damage.problem, damage.expected, damage.got, "")
            self.corruptions.append(corruption)
            if self._on_corruption is not None:
                self._on_corruption(corruption)
            return None
        finally:
            remove_tree(folder)

    def _share(self, key: str) -> None:
        """Put a result just made into the remote, if there is one."""
        if self.remote is None:
            return
        try:
            self.remote.push(key, self.layout.entry(key), self.layout.tmp)
        except StoreError as error:
            if self._on_unshared is not None:
                self._on_unshared(str(error))

    def _make(self, node: Node, build: Build, run_id: str | None) -> Entry:
        """Build in a private folder and commit it. The caller holds the key's lock."""
        folder = self.layout.tmp / f"{node.key}.{os.urandom(6).hex()}"
        try:
            with _io(self.root):
                for _, leftover in self.layout.unfinished(node.key):
                    remove_tree(leftover)
                (folder / FILES).mkdir(parents=True)
            meta = build(folder / FILES)
            with _io(self.root):
                return self._commit(node, folder, meta)
        except AprLeaderboardError as error:
            if run_id is not None:
                with suppress(OSError):  # on a full disk the error itself is the news; others will try for themselves
                    self.failures.record(run_id, node, error)
            raise
        finally:
            remove_tree(folder)

    def _commit(self, node: Node, folder: Path, meta: Mapping[str, Json]) -> Entry:
        """Give a finished folder its name: until the one renaming there is no entry, after it there is a whole one."""
        (folder / MANIFEST).write_bytes(seal(folder, node, meta))
        (folder / MANIFEST).chmod(0o444)
        sync_tree(folder)
        rename_durably(folder, self.layout.entry(node.key))
        remove_tree(self.layout.workdir(node.key))
        entry = read_manifest(self.layout.entry(node.key), node.key)
        self._verified[node.key] = (entry, stat_signature(entry))
        return entry.made_now()


@contextmanager
def _io(root: Path) -> Iterator[None]:
    """The seam where the operating system's errors become ours."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"store {root}: {error.strerror or error}: {error.filename or ''}".rstrip(": ")) from error
