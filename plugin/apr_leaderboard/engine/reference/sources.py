"""Digests of this engine's own source: what its results depend on, apart from what only the smoke model does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["engine_sources", "smoke_sources"]

_HERE = Path(__file__).parent
_DATASET = _HERE.parent / "dataset"


def engine_sources() -> str:
    """sha256 over every file of the engine that any of its results may depend on."""
    return _digest(path for path in _files() if not _is_smoke(path))


def smoke_sources() -> str:
    """sha256 over the files that say what the smoke model is made of.

    Kept out of the engine's own digest: another word in the smoke corpus must not make every answer of a real model be
    generated anew.
    """
    return _digest(path for path in _files() if _is_smoke(path))


def _files() -> list[Path]:
    paths = [path for folder in (_HERE, _DATASET) for path in folder.rglob("*")]
    return sorted(path for path in paths if path.is_file() and "__pycache__" not in path.parts)


def _is_smoke(path: Path) -> bool:
    return path.name.startswith(("smoke_", "jobs_smoke", "pretrain"))


def _digest(paths: Iterator[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.relative_to(_HERE.parent).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
