"""Where things lie under a store's root."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apr_leaderboard.store.durable import write_durably

__all__ = ["Layout", "default_root", "is_key"]

_CACHEDIR_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# Results that apr-leaderboard can make again.\n"
_KEY = re.compile(r"[0-9a-f]{64}")


def is_key(name: str) -> bool:
    """Whether `name` is a node's key: 64 lower-case hex digits."""
    return _KEY.fullmatch(name) is not None


def default_root() -> Path:
    """The user's own store: `apr-leaderboard/store` under XDG_CACHE_HOME, or the platform's cache folder."""
    # The XDG Base Directory Specification: a relative path there is invalid and is to be ignored.
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named and Path(named).is_absolute():
        base = Path(named)
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path.home() / ".cache"
    return base / "apr-leaderboard" / "store"


@dataclass(frozen=True)
class Layout:
    """The folders of one store."""

    root: Path

    def prepare(self) -> None:
        """Make the root, marked so that backup programs pass it over (https://bford.info/cachedir/)."""
        tag = self.root / "CACHEDIR.TAG"
        if not tag.exists():
            for folder in (self.entries, self.tmp):
                folder.mkdir(parents=True, exist_ok=True)
            write_durably(tag, _CACHEDIR_TAG)

    @property
    def entries(self) -> Path:
        """Finished results, by key."""
        return self.root / "entries"

    @property
    def tmp(self) -> Path:
        """Results being made (`KEY.RANDOM`) and on their way out; each is guarded by its key's lock."""
        return self.root / "tmp"

    @property
    def work(self) -> Path:
        """Partial work that outlives its maker, by key."""
        return self.root / "work"

    @property
    def judging(self) -> Path:
        """Verdicts on their way, by the key of the node they become."""
        return self.root / "judging"

    @property
    def locks(self) -> Path:
        """One empty file per key."""
        return self.root / "locks"

    @property
    def leases(self) -> Path:
        """One locked file per process that uses the store now."""
        return self.root / "leases"

    @property
    def corrupt(self) -> Path:
        """Entries found damaged, with a record of what was found."""
        return self.root / "corrupt"

    @property
    def failures(self) -> Path:
        """What could not be computed, by run and key."""
        return self.root / "failures"

    def entry(self, key: str) -> Path:
        """The folder of a finished result."""
        return self.entries / key[:2] / key

    def workdir(self, key: str) -> Path:
        """The folder of a node's partial work."""
        return self.work / key[:2] / key

    def entry_keys(self) -> Iterator[str]:
        """The keys of all finished results, sorted."""
        return _keys_below(self.entries)

    def work_keys(self) -> Iterator[str]:
        """The keys of all partial work, sorted."""
        return _keys_below(self.work)

    def unfinished(self, key: str = "") -> list[tuple[str, Path]]:
        """Key and folder of everything in `tmp`, or of what belongs to one key there."""
        pairs = ((path.name.partition(".")[0], path) for path in sorted(self.tmp.glob(f"{key}*")))
        return [(name, path) for name, path in pairs if is_key(name)]


def _keys_below(folder: Path) -> Iterator[str]:
    for shelf in sorted(folder.glob("[0-9a-f][0-9a-f]")):
        yield from sorted(path.name for path in shelf.glob("*") if is_key(path.name))
