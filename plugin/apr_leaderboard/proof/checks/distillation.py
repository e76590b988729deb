"""Distillation: its loss, that descending on it brings a student nearer to its teacher, and what a student solves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.model.stage import DistillParams
from apr_leaderboard.proof.asking import compared, keeps
from apr_leaderboard.proof.check import expect, measured, tested
from apr_leaderboard.proof.kernels.decoder import log_softmax
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.trained import DISTILL, SPECIALIST, STUDENT, TEACHER, harmful

__all__ = ["CHECKS"]

Floats = NDArray[np.float64]


def teacher_is_better(teacher: str, lab: Lab) -> str:
    """The recipes' teacher solves more of the smoke suite than their student, and that is more than chance."""
    found = compared(lab, lab.named(STUDENT), lab.named(teacher))
    expect(found.difference > 0.01 and found.significant, found.statement())
    return f"{lab.engine.name}, {STUDENT} and {teacher}: {found.statement()}"


def student_keeps_what_it_knew(params: DistillParams, lab: Lab) -> str:
    """A specialist, taught as the student in recipe C, solves as many problems of the suite but for 2 %.

    A specialist, because the recipes' student solves nothing before, and so has nothing to lose.
    """
    return keeps(lab, SPECIALIST, [params], 0.02)


def divergence(teacher: Floats, student: Floats, temperature: float) -> float:
    """Mean KL(teacher || student) over rows, both softened (Hinton et al. 2015, section 2)."""
    wanted, got = log_softmax(teacher / temperature), log_softmax(student / temperature)
    return float((np.exp(wanted) * (wanted - got)).sum(axis=-1).mean())


def student_comes_nearer(rate: float) -> str:
    """Gradient steps over softened targets: the loss of each of 3 epochs is below the first's."""

    def holds(rows: int, size: int, temperature: float, seed: int) -> None:
        teacher, student = 2 * np.random.default_rng(seed).standard_normal((2, rows, size))
        losses = []
        for _ in range(4):
            losses.append(divergence(teacher, student, temperature))
            slope = np.exp(log_softmax(student / temperature)) - np.exp(log_softmax(teacher / temperature))
            student = student - rate * temperature * slope
        nearer = all(later < losses[0] for later in losses[1:])
        expect(nearer, f"losses {losses}: temperature {temperature}, seed {seed}")

    whole = strategies.integers
    return for_all(holds, whole(1, 4), whole(2, 12), strategies.floats(1.0, 8.0), whole(0, 9999), examples=80)


def loss_is_a_distance(loss: Callable[[Floats, Floats, float], float]) -> str:
    """Never below 0; 0 for the teacher itself, also when its logits are shifted; above 0 for another."""

    def holds(rows: int, size: int, temperature: float, seed: int) -> None:
        teacher, student = np.random.default_rng(seed).standard_normal((2, rows, size))
        words = f"temperature {temperature}, seed {seed}"
        expect(loss(teacher, student, temperature) > 0, f"another student is no further than the teacher: {words}")
        expect(abs(loss(teacher, teacher + 3.0, temperature)) < 1e-12, f"the teacher is away from itself: {words}")

    whole = strategies.integers
    return for_all(holds, whole(1, 4), whole(2, 12), strategies.floats(1.0, 8.0), whole(0, 9999), examples=80)


def _unsoftened(teacher: Floats, student: Floats, temperature: float) -> float:
    return divergence(teacher, student * temperature * 1.01, temperature)


CHECKS: Final = (
    measured("FALSIFY-DIST-001", teacher_is_better, TEACHER, STUDENT),
    tested("FALSIFY-DIST-002", student_comes_nearer, 0.5, -0.5),
    measured("FALSIFY-DIST-003", student_keeps_what_it_knew, DISTILL, harmful(DISTILL)),
    tested("FALSIFY-DIST-004", loss_is_a_distance, divergence, _unsoftened),
)
