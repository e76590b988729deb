"""Lines in which the program says that it gave a GPU up and went on with the CPU. It does so on stderr alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from apr_leaderboard.engine.apr.argv import shell_line
from apr_leaderboard.model.record import Finding

__all__ = ["cpu_fallbacks", "fallback_findings"]

_DEVICE: Final = re.compile(r"[cg]pu", re.IGNORECASE)
_GIVEN_UP: Final = re.compile(r"fall(?:ing|s)? back|fell back|fallback|will use cpu|runs on the cpu", re.IGNORECASE)
_REFUSED: Final = re.compile(r"\bno (?:silent )?cpu fallback|not a fallback", re.IGNORECASE)
"""What it says where it ends rather than go on."""
_CHOSEN: Final = "plain LoRA (-m lora) runs on the CPU"
"""Said of every plain LoRA training, which has no other path: nothing was given up."""


def cpu_fallbacks(stderr: str) -> list[str]:
    """The lines that tell of it, in order, each once."""
    lines = dict.fromkeys(line.strip() for line in stderr.splitlines() if _DEVICE.search(line))
    return [line for line in lines if _GIVEN_UP.search(line) and not _REFUSED.search(line) and _CHOSEN not in line]


def fallback_findings(stderr: str, argv: Sequence[str]) -> list[Finding]:
    """One finding with the first of these lines; none where there is no such line."""
    lines = cpu_fallbacks(stderr)
    if not lines:
        return []
    return [Finding(code="cpu-fallback", message="; ".join(lines[:2]), command=shell_line(tuple(argv)))]
