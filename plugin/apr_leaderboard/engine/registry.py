"""Which engines there are, by the name one types after --apr-engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from apr_leaderboard.engine.protocol import Engine
from apr_leaderboard.errors import EngineMissingError, RequestError

__all__ = ["engine_names", "make_engine"]


def _make_apr(apr_bin: str | Path | None) -> Engine:
    from apr_leaderboard.engine.apr import AprEngine

    return AprEngine(apr_bin)


def _make_reference(apr_bin: str | Path | None) -> Engine:
    # Imported here: what it needs is an extra, and costs a second to import.
    try:
        from apr_leaderboard.engine.reference.engine import ReferenceEngine
    except ImportError as error:
        hint = f"install it with `pip install 'apr-leaderboard[reference]'` ({error})"
        raise EngineMissingError("reference", ("this Python environment",), hint) from error
    return ReferenceEngine()


def _make_transformers(apr_bin: str | Path | None) -> Engine:
    from apr_leaderboard.engine.peers import PeerEngine
    from apr_leaderboard.engine.transformers import TRANSFORMERS

    return PeerEngine(TRANSFORMERS)


def _make_llama_cpp(apr_bin: str | Path | None) -> Engine:
    from apr_leaderboard.engine.llama_cpp import LLAMA_CPP
    from apr_leaderboard.engine.peers import PeerEngine

    return PeerEngine(LLAMA_CPP)


_MAKERS: Final[Mapping[str, Callable[[str | Path | None], Engine]]] = MappingProxyType(
    {
        "reference": _make_reference,
        "apr": _make_apr,
        "transformers": _make_transformers,
        "llama_cpp": _make_llama_cpp,
    }
)


def engine_names() -> tuple[str, ...]:
    """Every name `make_engine` knows; the first is the default."""
    return tuple(_MAKERS)


def make_engine(name: str, *, apr_bin: str | Path | None = None) -> Engine:
    """The engine called `name`; `apr_bin` is where to find `apr`, used by that engine alone.

    Raises `RequestError` for an unknown name, `EngineMissingError` for an engine that is not installed here.
    """
    maker = _MAKERS.get(name)
    if maker is None:
        raise RequestError(f"unknown engine {name!r}; known: {', '.join(_MAKERS)}")
    return maker(apr_bin)
