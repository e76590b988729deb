"""Pictures of recorded runs, as SVG and PNG; matplotlib is loaded only when one is drawn."""

from __future__ import annotations

from apr_leaderboard.report.plots.gather import Picture, pictures_of
from apr_leaderboard.report.plots.pictures import (
    SizedScore,
    draw_losses,
    draw_pass_at_k,
    draw_perplexity,
    draw_problems,
    draw_size_against_score,
    draw_throughput,
)
from apr_leaderboard.report.plots.style import FORMATS, MARKERS, PALETTE, save

__all__ = [
    "FORMATS",
    "MARKERS",
    "PALETTE",
    "Picture",
    "SizedScore",
    "draw_losses",
    "draw_pass_at_k",
    "draw_perplexity",
    "draw_problems",
    "draw_size_against_score",
    "draw_throughput",
    "pictures_of",
    "save",
]
