"""A store shared between machines: finished entries as one object each, under any URL that fsspec opens."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import fsspec

from apr_leaderboard.errors import RequestError, StoreError
from apr_leaderboard.store.entry import FILES, MANIFEST, Damage, check_files, read_manifest
from apr_leaderboard.store.layout import is_key

__all__ = ["Remote", "is_url"]

_SUFFIX: Final = ".tar"


def is_url(text: str) -> bool:
    """Whether a store's place is a URL rather than a folder of this machine."""
    scheme, found, _ = text.partition("://")
    return bool(found) and scheme.replace("+", "").isalnum()


class Remote:
    """Entries by key at `url`: `ab/KEY.tar` holds an entry's manifest and files.

    Nothing that comes from there is trusted: an object is unpacked beside the store and compared with its own manifest,
    and that with its key, before it becomes an entry. Objects appear under their name only when they are whole.

    Raises `RequestError` for a URL that nothing here can open.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        try:
            self._fs, root = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise RequestError(
                f"store {url}: {error}; accepted: a folder, or a URL whose fsspec package is installed"
            ) from None
        self._root = str(root).rstrip("/")

    def keys(self) -> Iterator[str]:
        """The keys of all entries there, sorted. Raises `StoreError` where the place cannot be reached."""
        with self._reaching("list"):
            if not self._fs.exists(self._root):
                return
            names = (str(path).rpartition("/")[2] for path in self._fs.find(self._root))
        yield from sorted(name.removesuffix(_SUFFIX) for name in names if is_key(name.removesuffix(_SUFFIX)))

    def has(self, key: str) -> bool:
        """Whether there is an object for this key. Raises as `keys`."""
        with self._reaching(f"look up {key[:12]}"):
            return bool(self._fs.exists(self._object(key)))

    def fetch(self, key: str, folder: Path) -> bool:
        """Unpack the entry into the empty `folder`, laid out as in a store; False when there is none.

        Raises `Damage` for an object that is not what was written, and `StoreError` where the place cannot be reached.
        """
        packed = folder.with_name(folder.name + _SUFFIX)
        try:
            with self._reaching(f"fetch {key[:12]}"):
                if not self._fs.exists(self._object(key)):
                    return False
                self._fs.get_file(self._object(key), str(packed))
            _unpack(packed, folder)
        finally:
            packed.unlink(missing_ok=True)
        check_files(read_manifest(folder, key))
        for path in (folder / MANIFEST, *(path for path in (folder / FILES).rglob("*") if path.is_file())):
            path.chmod(0o444)
        return True

    def push(self, key: str, entry: Path, scratch: Path) -> None:
        """Put the entry in the folder `entry` there, by way of a file in `scratch`. Raises as `keys`."""
        scratch.mkdir(parents=True, exist_ok=True)
        packed = scratch / f"{key}.{os.urandom(6).hex()}{_SUFFIX}"
        partial = f"{self._object(key)}.{os.urandom(6).hex()}.partial"
        try:
            _pack(entry, packed)
            with self._reaching(f"push {key[:12]}"):
                self._fs.makedirs(partial.rpartition("/")[0], exist_ok=True)
                try:
                    self._fs.put_file(str(packed), partial)
                    self._fs.mv(partial, self._object(key))
                except BaseException:
                    with suppress(Exception):  # whatever stopped us is the news, not the litter
                        self._fs.rm(partial)
                    raise
        finally:
            packed.unlink(missing_ok=True)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _object(self, key: str) -> str:
        return f"{self._root}/{key[:2]}/{key}{_SUFFIX}"

    @contextmanager
    def _reaching(self, what: str) -> Iterator[None]:
        """The seam where whatever an fsspec backend raises becomes ours; each has exceptions of its own."""
        try:
            yield
        except Exception as error:
            raise StoreError(f"store {self.url}: cannot {what}: {error or type(error).__name__}") from error


def _pack(entry: Path, packed: Path) -> None:
    """One tar of manifest and files, in the same order and without times or owners: the same entry, the same bytes."""

    def plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime = info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    with tarfile.open(packed, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.add(entry / MANIFEST, MANIFEST, filter=plain)
        tar.add(entry / FILES, FILES, filter=plain)  # tarfile sorts what is in a folder


def _unpack(packed: Path, folder: Path) -> None:
    try:
        with tarfile.open(packed) as tar:
            options: Any = {"filter": "data"}  # nothing outside the folder, no links, no devices
            tar.extractall(folder, **options)
    except (tarfile.TarError, EOFError) as error:
        raise Damage(packed.name, f"is no whole tar file: {error}") from None
