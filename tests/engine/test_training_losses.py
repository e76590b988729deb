"""What training makes small, against formulas written down anew in NumPy's float64."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.distilling import share_schedule
from apr_leaderboard.engine.reference.losses import (
    distillation_terms,
    dpo_losses,
    masked_loss,
    orpo_log_odds_ratio,
    sequence_log_probs,
)
from apr_leaderboard.model.stage import DistillParams
from apr_leaderboard.proof.kernels import dpo as dpo_oracle

Floats = NDArray[np.float64]

_logits = arrays(np.float64, (2, 3, 5), elements=st.floats(-30, 30))
_targets = arrays(np.int32, (2, 3), elements=st.integers(0, 4))
_masks = arrays(np.float64, (2, 3), elements=st.sampled_from([0.0, 1.0]))
_rewards = arrays(np.float64, (7,), elements=st.floats(-60, 60))
_log_probs = arrays(np.float64, (7,), elements=st.floats(-40, -1e-4))
_fast = settings(max_examples=40, deadline=None)


def _softmax(x: Floats) -> Floats:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    shares: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return shares


def _in_float64(function: Any, *values: Any) -> Floats:
    with jax.enable_x64(True):
        return np.asarray(function(*(jnp.asarray(value) for value in values)), np.float64)


@_fast
@given(_logits, _targets, _masks)
def test_sequence_log_probs_are_sums_over_the_tokens_that_count(
    logits: Floats, targets: NDArray[np.int32], mask: Floats
) -> None:
    """log P(y | x) of each row, and the mean loss over all rows, from the softmax itself."""
    picked = np.log(np.take_along_axis(_softmax(logits), targets[..., None], axis=-1)[..., 0])
    found = _in_float64(sequence_log_probs, logits, targets, mask)
    np.testing.assert_allclose(found, (picked * mask).sum(axis=-1), rtol=1e-6, atol=1e-9)
    loss = float(_in_float64(masked_loss, logits, targets, mask))
    assert loss == pytest.approx(-(picked * mask).sum() / max(1.0, mask.sum()), rel=1e-6, abs=1e-9)


@_fast
@given(_logits, st.lists(_logits, min_size=1, max_size=3), st.floats(0.5, 8))
def test_distillation_is_hintons_divergence_to_the_mean_of_the_teachers(
    student: Floats, teachers: list[Floats], temperature: float
) -> None:
    """T^2 sum p log(p / q), p the mean of the teachers' softened probabilities."""
    q = _softmax(student / temperature)
    p = np.mean([_softmax(teacher / temperature) for teacher in teachers], axis=0)
    wanted = temperature**2 * np.sum(p * (np.log(p) - np.log(q)), axis=-1)
    with jax.enable_x64(True):
        found = distillation_terms(
            jnp.asarray(student), [jnp.asarray(teacher) for teacher in teachers], jnp.asarray(temperature)
        )
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)
    assert (np.asarray(found) >= -1e-9).all()


@_fast
@given(_logits, st.floats(0.5, 8))
def test_distillation_from_itself_is_nothing(logits: Floats, temperature: float) -> None:
    """A student that says what its teacher says has nothing to learn."""
    with jax.enable_x64(True):
        found = distillation_terms(jnp.asarray(logits), [jnp.asarray(logits)] * 2, jnp.asarray(temperature))
    np.testing.assert_allclose(found, 0.0, atol=1e-9)


@_fast
@given(_rewards, _rewards)
def test_dpo_is_minus_log_sigmoid_of_the_margin(chosen: Floats, rejected: Floats) -> None:
    """Equation 7 by hand, and as the proofs' own kernel has it; log 2 where nothing is preferred."""
    found = _in_float64(dpo_losses, chosen, rejected)
    np.testing.assert_allclose(found, dpo_oracle.loss(chosen - rejected, 1.0), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found, np.log1p(np.exp(rejected - chosen)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(_in_float64(dpo_losses, chosen, chosen), np.log(2.0), rtol=1e-12)


@_fast
@given(
    arrays(np.float64, (7,), elements=st.floats(-40, -1e-4)), arrays(np.float64, (7,), elements=st.floats(-40, -1e-4))
)
def test_orpo_ratio_is_that_of_the_odds(chosen: Floats, rejected: Floats) -> None:
    """log of (P / (1 - P)) for chosen over rejected, from the probabilities themselves."""
    one, other = np.exp(chosen), np.exp(rejected)
    wanted = np.log(one / (1 - one)) - np.log(other / (1 - other))
    np.testing.assert_allclose(_in_float64(orpo_log_odds_ratio, chosen, rejected), wanted, rtol=1e-6, atol=1e-9)


def test_orpo_ratio_of_a_certain_answer_is_finite() -> None:
    """A probability of one has infinite odds; the loss and its gradient stay finite in float32."""
    value, slope = jax.value_and_grad(lambda x: orpo_log_odds_ratio(x, jnp.float32(-1.0)))(jnp.float32(0.0))
    assert np.isfinite([value, slope]).all()


def test_progressive_share_and_temperature_fall_to_nothing_and_one() -> None:
    """At the first step as written, half-way in the middle, at the last the teacher is silent."""
    settings_ = DistillParams(strategy="progressive", teacher="t", dataset="d", alpha=0.8, temperature=4.0)
    at = share_schedule(settings_, 11)
    assert at(0) == (0.8, 4.0)
    assert at(5) == pytest.approx((0.4, 2.5))
    assert at(10) == pytest.approx((0.0, 1.0))
    assert share_schedule(settings_, 1)(0) == (0.8, 4.0)
    steady = share_schedule(DistillParams(teacher="t", dataset="d", alpha=0.3, temperature=3.0), 11)
    assert steady(0) == steady(10) == (0.3, 3.0)
