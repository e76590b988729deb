"""The leaderboard: models by benchmarks from recorded runs, as a page, as Markdown, as CSV, as JSON."""

from __future__ import annotations

from apr_leaderboard.report.board.page import page_of
from apr_leaderboard.report.board.published import PublishedFigure, published_for
from apr_leaderboard.report.board.table import Board, Cell, Column, Row, board_of
from apr_leaderboard.report.board.text import csv_of, json_of, markdown_of

__all__ = [
    "Board",
    "Cell",
    "Column",
    "PublishedFigure",
    "Row",
    "board_of",
    "csv_of",
    "json_of",
    "markdown_of",
    "page_of",
    "published_for",
]
