"""Training data, whichever engine cleans it: rows of JSONL, shared runs of words, duplicates, quality."""

from __future__ import annotations

from apr_leaderboard.engine.dataset.duplicates import exact_duplicates, near_duplicates
from apr_leaderboard.engine.dataset.ngrams import ngrams, overlap
from apr_leaderboard.engine.dataset.quality import Quality, quality_of
from apr_leaderboard.engine.dataset.rows import Row, read_rows, write_rows

__all__ = [
    "Quality",
    "Row",
    "exact_duplicates",
    "near_duplicates",
    "ngrams",
    "overlap",
    "quality_of",
    "read_rows",
    "write_rows",
]
