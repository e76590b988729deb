"""The same engine, computing on something else."""

from __future__ import annotations

from typing import Protocol, cast

from apr_leaderboard.engine.protocol import Engine, OnBackend

__all__ = ["on_backend"]


class _Chooses(Protocol):
    def on_backend(self, backend: str) -> OnBackend: ...


def on_backend(engine: Engine, backend: str) -> OnBackend | None:
    """`engine.on_backend(backend)`; None for an engine that has no such backend to choose.

    Raises `AdapterMissingError` where it has, and what it runs on is not here.
    """
    if backend not in getattr(engine, "backends", ()):
        return None
    return cast(_Chooses, engine).on_backend(backend)
