"""What the user asked for, as far as the pipeline needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from apr_leaderboard.model.recipe import ProfileName

__all__ = ["Settings", "Stated"]


@dataclass(frozen=True)
class Stated:
    """What the user says of a file of completions: who answered, and how. Nothing here can check it.

    `decoding` has the keys of `DecodeParams` that were said.
    """

    engine: str
    model: str
    decoding: Mapping[str, float | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """One run's wishes. None means: as the recipe or the benchmark says."""

    engines: tuple[str, ...] = ("reference",)
    profile: ProfileName = "smoke"
    model: str | None = None
    completions: Path | None = None
    completions_of: Stated | None = None
    data: Path | None = None
    prompt: str | None = None
    samples: int = 1
    ks: tuple[int, ...] = (1,)
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int | None = None
    draft_tokens: int = 0
    seed: int = 0
    limit: int | None = None
    min_pass: float | None = None
    sandbox: str = "auto"
    cpu_seconds: float | None = None
    dry: bool = False
