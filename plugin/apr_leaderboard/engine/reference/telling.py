"""What a training tells whoever watches, step by step."""

from __future__ import annotations

import resource
from typing import Final

from apr_leaderboard.engine.reference.ops import Reporter
from apr_leaderboard.engine.reference.train import Step

__all__ = ["StepTeller"]

_BYTES_PER_UNIT: Final = 1024
"""Linux counts a process's largest resident set in KiB (getrusage(2))."""


class StepTeller:
    """Reports each step with its figures, tokens per second, and the most memory this process has held so far.

    The last two differ from run to run, so they are told and never written to a file.
    """

    def __init__(self, report: Reporter, what: str, total: int, epochs: int) -> None:
        self._report = report
        self._what = what
        self._total = total
        self._epochs = epochs

    def __call__(self, step: Step, speed: float) -> None:
        """`speed` is in tokens per second."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_UNIT
        figures = {**step.figures, "epoch": step.epoch, "tokens_per_second": speed, "peak_rss_bytes": peak}
        note = f"epoch {step.epoch}/{self._epochs}, loss {step.loss:.4f}, {speed:.0f} tokens/s"
        self._report.progress(self._what, step.step, self._total, "steps", note, figures)
