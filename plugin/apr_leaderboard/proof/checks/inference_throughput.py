"""Throughput: the engine's own figure is not below one token a second on a small model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from apr_leaderboard.engine.jobs import BenchJob
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.lab import Lab

__all__ = ["CHECKS"]


def at_least_one_a_second(rate: Callable[[float], float], lab: Lab) -> str:
    """The specimen decodes one token a second at least, by the engine's own measurement."""
    made = lab.make(lambda found: BenchJob(found[0], n_tokens=8), {"n_tokens": 8}, [lab.model()])
    if made.record is None or "tokens_per_second" not in made.record.figures:
        raise HarnessError("the job left no tokens_per_second")
    found = rate(float(made.record.figures["tokens_per_second"]))
    expect(1.0 <= found < math.inf, f"{found:g} tokens a second")
    return f"{lab.engine.name}: {found:g} tokens a second on the specimen"


CHECKS: Final = (measured("FALSIFY-TPUT-001", at_least_one_a_second, lambda rate: rate, lambda rate: min(rate, 0.5)),)
