"""Every saboteur by the name that a test's mark `falsified_by` gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from apr_leaderboard.criteria.breaking import weights, works
from apr_leaderboard.criteria.saboteur import Saboteur
from apr_leaderboard.errors import RequestError

__all__ = ["SABOTEURS", "saboteur_named"]

SABOTEURS: Final[Mapping[str, Saboteur]] = {one.name: one for one in (*weights.SABOTEURS, *works.SABOTEURS)}


def saboteur_named(name: str) -> Saboteur:
    """Raises `RequestError` for a name that is none."""
    if name not in SABOTEURS:
        raise RequestError(f"falsified_by: got {name!r}; accepted: {', '.join(sorted(SABOTEURS))}")
    return SABOTEURS[name]
