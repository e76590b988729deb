"""Does a claim of the mission hold: trials on engines and models, their saboteurs, known defects, and the gate."""

from __future__ import annotations

from apr_leaderboard.criteria.decide import decide
from apr_leaderboard.criteria.gate import GATES, GateName, GateVerdict, by_criterion, judge_gate, known_behind, worst
from apr_leaderboard.criteria.reproducer import TINY_MODEL, Reproduced, reproduce
from apr_leaderboard.criteria.saboteur import SabotagedEngine, Saboteur
from apr_leaderboard.criteria.saboteurs import saboteur_named
from apr_leaderboard.criteria.trial import SUITE, Asked, Trial

__all__ = [
    "GATES",
    "SUITE",
    "TINY_MODEL",
    "Asked",
    "GateName",
    "GateVerdict",
    "Reproduced",
    "SabotagedEngine",
    "Saboteur",
    "Trial",
    "by_criterion",
    "decide",
    "judge_gate",
    "known_behind",
    "reproduce",
    "saboteur_named",
    "worst",
]
