"""A quantised model is small and still a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from apr_leaderboard.model.stage import StageParams
from apr_leaderboard.proof.answering import check_passes, keep, lose_half
from apr_leaderboard.proof.asking import keeps
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import bytes_of, quantized
from apr_leaderboard.proof.trained import PRUNE_TOO_MUCH, QUANTIZE, TEACHER
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]


def few_problems_are_lost(stages: Sequence[StageParams], lab: Lab) -> str:
    """The smoke model's teacher in four bits solves as many problems of the suite but for 2 %.

    Its own values are float32, so what is lost against float16 is no more than that.
    """
    return keeps(lab, TEACHER, stages, 0.02)


def half_of_float16(scheme: str, lab: Lab) -> str:
    """The file is at most half of the values in float16."""
    values = sum(tensor.size for tensor in read_tensors(lab.model().checkpoint).values())
    share = bytes_of(quantized(lab, scheme)) / (2 * values)
    expect(share <= 0.5, f"{scheme}: {share:.1%} of float16")
    return f"{lab.engine.name}: {scheme} takes {share:.1%} of float16"


CHECKS: Final = (
    # The broken one rounds four weights of five to zero.
    measured("FALSIFY-QQLTY-001", few_problems_are_lost, (QUANTIZE,), (PRUNE_TOO_MUCH,)),
    measured("FALSIFY-QQLTY-002", half_of_float16, "q4k", "int8"),
    measured("FALSIFY-QQLTY-003", lambda spoil, lab: check_passes(quantized(lab, "q4k"), lab, spoil), keep, lose_half),
)
