"""The folder fetched bytes are kept in.

    <cache>/sources/<sha256>/<file name>   a file, or a folder with all its files
    <cache>/sources/.index/<key>.json      which digest a source string led to
    <cache>/sources/.checked/<key>.json    size and time of a file when its digest was last checked
    <cache>/sources/.locks/                one lock file per target
    <cache>/sources/.partial/<key>/        what a fetch has so far; a later one goes on from there

Only whole, checked files are moved to their place, by one atomic rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from filelock import FileLock

from apr_leaderboard.errors import StoreError
from apr_leaderboard.source.digest import file_sha256, folder_files, folder_sha256
from apr_leaderboard.source.progress import Meter
from apr_leaderboard.store import Store

__all__ = ["Kept", "SourceCache", "default_cache"]

_POLL_SECONDS: Final = 0.2


def default_cache(store_root: Path | None = None) -> Path:
    """The folder fetched bytes are kept under when nobody names one.

    APR_CACHE, else `downloads` beside the user's own store, or inside a store that lies elsewhere (`store_root`, or
    APR_STORE), so that a run with a store of its own leaves nothing outside it.
    """
    named = os.environ.get("APR_CACHE", "")
    if named:
        return Path(named)
    elsewhere = os.environ.get("APR_STORE", "")
    root = store_root or (Path(elsewhere) if elsewhere else Store.default_root())
    return root.parent / "downloads" if root.name == "store" else root / "downloads"


@dataclass(frozen=True)
class Kept:
    """Something in the cache: its place, its digest, and the source string it came from."""

    path: Path
    sha256: str
    source: str


class SourceCache:
    """Reads and writes the layout above; it knows nothing of where bytes come from."""

    def __init__(self, cache: Path) -> None:
        self.root = cache / "sources"

    @contextmanager
    def lock(self, target: str) -> Iterator[None]:
        """Hold the target for this process alone; the system frees it if the process dies."""
        folder = self._folder(".locks")
        lock = FileLock(str(folder / f"{_key(target)}.lock"), poll_interval=_POLL_SECONDS)
        try:
            lock.acquire()
        except OSError as error:
            raise StoreError(f"cache {self.root}: {error.strerror or error}") from None
        try:
            yield
        finally:
            lock.release()

    def partial(self, target: str) -> Path:
        """The folder of an unfinished fetch."""
        return self._folder(f".partial/{_key(target)}")

    def drop_partial(self, target: str) -> None:
        """Remove what an unfinished fetch left."""
        shutil.rmtree(self.partial(target), ignore_errors=True)

    def find(self, sha256: str, filename: str) -> Path | None:
        """The kept file of this digest and name, or None. Nothing is read but the folder."""
        path = self.root / sha256 / filename
        return path if path.exists() else None

    def recorded(self, source: str) -> Kept | None:
        """What a source string led to last time, if it is still here."""
        note = _read_json(self.root / ".index" / f"{_key(source)}.json")
        if note is None:
            return None
        path = self.find(str(note["sha256"]), str(note["filename"]))
        return None if path is None else Kept(path, str(note["sha256"]), str(note["source"]))

    def record(self, source: str, kept: Kept) -> None:
        """Remember what a source string led to."""
        note = {"asked": source, "source": kept.source, "sha256": kept.sha256, "filename": kept.path.name}
        _write_json(self._folder(".index") / f"{_key(source)}.json", note)

    def adopt(self, staged: Path, filename: str, sha256: str, source: str) -> Kept:
        """Move a whole, checked file or folder to its place and remember it. `staged` must be on the same disk."""
        place = self._folder(sha256) / filename
        if staged.is_file():
            _sync(staged)
            staged.replace(place)
        elif not place.exists():
            for path in folder_files(staged):
                _sync(path)
            staged.replace(place)
        _sync(place.parent)
        kept = Kept(place, sha256, source)
        self._note(place, sha256, _stat_stamp(place))
        self.record(source, kept)
        return kept

    def remove(self, path: Path) -> None:
        """Take a kept file or folder out of the cache."""
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        (self.root / ".checked" / f"{_key(str(path))}.json").unlink(missing_ok=True)

    def digest(self, path: Path, meter: Meter, *, afresh: bool = False) -> str:
        """The digest of a file or folder; read again only if its size or time changed since, or `afresh`."""
        stamp = _stat_stamp(path)
        note = _read_json(self.root / ".checked" / f"{_key(str(path))}.json")
        if not afresh and note is not None and note.get("stamp") == stamp:
            return str(note["sha256"])
        checking = meter.named(f"checking {path.name}", _size(path))
        sha256 = folder_sha256(path, checking.at) if path.is_dir() else file_sha256(path, checking.at)
        # As it was before: what is written to while it is read is read again the next time.
        self._note(path, sha256, stamp)
        return sha256

    def _note(self, path: Path, sha256: str, stamp: list[list[Any]]) -> None:
        note = {"path": str(path), "sha256": sha256, "stamp": stamp}
        _write_json(self._folder(".checked") / f"{_key(str(path))}.json", note)

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cache {self.root}: {error.strerror or error}") from None
        return folder


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _size(path: Path) -> int:
    return sum(one.stat().st_size for one in (folder_files(path) if path.is_dir() else [path]))


def _stat_stamp(path: Path) -> list[list[Any]]:
    """Name, size, time and identity of each file: equal as long as nobody writes to them."""
    files = folder_files(path) if path.is_dir() else [path]
    stats = [(str(one.relative_to(path)), one.stat()) for one in files]
    return [[name, stat.st_size, stat.st_mtime_ns, stat.st_ino] for name, stat in stats]


def _read_json(path: Path) -> dict[str, Any] | None:
    """A small note, or None where there is none or it was cut short (then it is made again)."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _write_json(path: Path, value: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value))
    temporary.replace(path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
