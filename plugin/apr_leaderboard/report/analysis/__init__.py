"""What recorded runs say together: over time, over each other, by failure, and as pairs to learn from."""

from __future__ import annotations

from apr_leaderboard.report.analysis.failures import Failures, failures_of
from apr_leaderboard.report.analysis.history import HistoryEntry, history_of
from apr_leaderboard.report.analysis.oracle import Oracle, oracle_of
from apr_leaderboard.report.analysis.pairs import PairsReport, make_pairs
from apr_leaderboard.report.analysis.samples import JudgedAnswer, judged_answers

__all__ = [
    "Failures",
    "HistoryEntry",
    "JudgedAnswer",
    "Oracle",
    "PairsReport",
    "failures_of",
    "history_of",
    "judged_answers",
    "make_pairs",
    "oracle_of",
]
