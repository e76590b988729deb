"""llama.cpp as an engine: a second, independent reader of GGUF files. It answers prompts on the CPU, in slots."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.engine.peers import Peer

__all__ = ["LLAMA_CPP"]

LLAMA_CPP: Final = Peer(
    name="llama_cpp",
    formats=("gguf",),
    key="llama-cpp-python",
    extra="llama-cpp",
    settings={"slots": "8", "room": "4096", "threads": "0"},
)
"""APR_LLAMA_CPP_PYTHON, _SLOTS, _ROOM (positions a slot) and _THREADS (0: all this process may use) set it."""
