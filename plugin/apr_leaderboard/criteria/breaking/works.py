"""Saboteurs of what engines do and of what tests look at."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.criteria.saboteur import Saboteur

__all__ = ["SABOTEURS"]

SABOTEURS: Final[tuple[Saboteur, ...]] = ()
