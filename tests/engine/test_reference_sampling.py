"""Choosing tokens: temperature, top-k, top-p, and draws keyed by seed and step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.sampling import distribution, draw, sample_token
from apr_leaderboard.model.generation import DecodeParams

LOGITS = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-20, 20, width=32))


def by_hand(logits: NDArray[np.float32], params: DecodeParams) -> dict[int, float]:
    """The same distribution the slow way: sort all, cut, renormalise."""
    scaled = [float(x) / params.temperature for x in logits]
    weights = [np.exp(x - max(scaled)) for x in scaled]
    order = sorted(range(len(weights)), key=lambda i: (-weights[i], i))
    order = order[: params.top_k] if params.top_k else order
    total, mass, kept = sum(weights[i] for i in order), 0.0, []
    for i in order:
        kept.append(i)
        mass += weights[i]
        if params.top_p < 1.0 and mass >= params.top_p * total * (1 - 1e-12):
            break
    share = sum(weights[i] for i in kept)
    return {i: weights[i] / share for i in kept}


@given(
    logits=LOGITS,
    temperature=st.sampled_from([0.2, 0.8, 1.0, 2.0]),
    top_k=st.integers(0, 70),
    top_p=st.sampled_from([0.1, 0.5, 0.9, 1.0]),
)
def test_distribution_equals_sorting_by_hand(
    logits: NDArray[np.float32], temperature: float, top_k: int, top_p: float
) -> None:
    """Same candidates and probabilities, but for a candidate that rounding puts on the nucleus's edge."""
    params = DecodeParams(temperature=temperature, top_k=top_k, top_p=top_p)
    ids, probabilities = distribution(logits, params)
    expected = by_hand(logits, params)
    assert probabilities.sum() == pytest.approx(1.0)
    assert abs(len(ids) - len(expected)) <= 1
    if len(ids) == len(expected):
        assert list(ids) == list(expected)
        assert np.allclose(probabilities, list(expected.values()))


@pytest.mark.parametrize("top_p", [0.3, 0.999999], ids=["small nucleus", "nucleus beyond the first cut"])
def test_distribution_large_vocabulary_equals_sorting_by_hand(top_p: float) -> None:
    """The shortcut that looks at the most probable first changes nothing."""
    logits = np.random.default_rng(0).normal(0, 1, 5000).astype(np.float32)
    params = DecodeParams(temperature=1.0, top_p=top_p)
    assert list(distribution(logits, params)[0]) == list(by_hand(logits, params))


def test_equal_logits_are_ordered_by_id() -> None:
    """Ties are broken by id, for greedy and for the edge of top-k."""
    logits = np.zeros(50, np.float32)
    assert list(distribution(logits, DecodeParams(temperature=1.0, top_k=3))[0]) == [0, 1, 2]
    assert sample_token(logits, DecodeParams(), seed=0, step=0) == 0


def test_top_k_one_is_greedy() -> None:
    """With one candidate every seed chooses it."""
    logits = np.array([0.0, 2.0, 1.0], np.float32)
    params = DecodeParams(temperature=5.0, top_k=1)
    assert {sample_token(logits, params, seed, 0) for seed in range(20)} == {1}


def test_samples_follow_the_distribution() -> None:
    """Over many seeds the frequencies are within four standard errors."""
    logits = np.log(np.array([0.5, 0.3, 0.2], np.float32))
    params = DecodeParams(temperature=1.0)
    counts = np.bincount([sample_token(logits, params, seed, 3) for seed in range(4000)], minlength=3) / 4000
    assert np.abs(counts - [0.5, 0.3, 0.2]).max() < 4 * np.sqrt(0.25 / 4000)


@given(seed=st.integers(0, 2**32 - 1), step=st.integers(0, 10**6))
def test_draw_is_a_function_of_seed_and_step(seed: int, step: int) -> None:
    """Same key, same number in [0, 1); the next step and the next seed give others."""
    number = draw(seed, step)
    assert 0.0 <= number < 1.0
    assert draw(seed, step) == number
    assert number not in (draw(seed, step + 1), draw(seed + 1, step))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2000))
def test_sample_is_where_the_draw_of_its_seed_and_step_falls(seed: int, step: int) -> None:
    """Of a thousand equal tokens, the draw's thousandth; so every step of an answer has a draw of its own."""
    token = sample_token(np.zeros(1000, np.float32), DecodeParams(temperature=1.0), seed, step)
    assert token == pytest.approx(1000 * draw(seed, step), abs=1)
