"""The Python ecosystem itself as an engine: torch and transformers, on the GPU where there is one, in batches."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.engine.peers import Peer

__all__ = ["TRANSFORMERS"]

TRANSFORMERS: Final = Peer(
    name="transformers",
    formats=("gguf", "hf"),
    key="transformers",
    extra="transformers",
    settings={"dtype": "float32", "device": "auto", "batch": "16"},
)
"""APR_TRANSFORMERS_PYTHON, _DTYPE (float32 or bfloat16), _DEVICE and _BATCH set it. GGUF weights are dequantised."""
