"""Wilson against scipy and published bounds; the bootstrap's coverage and its seed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from apr_leaderboard.bench.intervals import bootstrap, interval_for, intervals_for, wilson
from apr_leaderboard.errors import RequestError


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(case: tuple[int, int]) -> None:
    """scipy's own score interval, without continuity correction."""
    passed, total = case
    peer = binomtest(passed, total).proportion_ci(0.95, "wilson")
    ours = wilson(passed, total)
    assert (ours.low, ours.high) == pytest.approx((peer.low, peer.high), abs=1e-12)


@pytest.mark.parametrize(
    ("passed", "low", "high"), [(101, 54.0, 68.7), (116, 63.4, 77.2), (145, 82.6, 92.5)], ids=["0.5B", "1.5B", "7B"]
)
def test_wilson_published_humaneval_scores_have_the_known_bounds(passed: int, low: float, high: float) -> None:
    """The three Qwen2.5-Coder scores on 164 problems, in per cent to one decimal."""
    interval = wilson(passed, 164)
    assert (round(100 * interval.low, 1), round(100 * interval.high, 1)) == (low, high)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_and_stays_within_one(case: tuple[int, int]) -> None:
    """0 <= low <= rate <= high <= 1."""
    passed, total = case
    interval = wilson(passed, total)
    assert 0 <= interval.low <= passed / total <= interval.high <= 1


@pytest.mark.parametrize(("passed", "total"), [(0, 0), (3, 2), (-1, 5)])
def test_wilson_of_impossible_numbers_is_refused(passed: int, total: int) -> None:
    """No evidence, no interval."""
    with pytest.raises(RequestError, match="allowed"):
        wilson(passed, total)


def test_bootstrap_same_seed_same_interval_and_says_the_seed() -> None:
    """An interval can be had again from what it says of itself."""
    counts = [(10, c % 11) for c in range(60)]
    first, again, other = bootstrap(counts, 5, 7), bootstrap(counts, 5, 7), bootstrap(counts, 5, 8)
    assert first == again
    assert "seed 7" in first.method
    assert (first.low, first.high) != (other.low, other.high)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_bootstrap_of_many_problems_is_near_the_normal_interval_of_its_level(level: float) -> None:
    """With 500 problems the central limit theorem gives the same answer, to two problems."""
    generator = np.random.default_rng(3)
    counts = [(1, int(c)) for c in generator.random(500) < 0.6]
    interval = bootstrap(counts, 1, 0, level)
    rate = sum(c for _, c in counts) / 500
    half = float(norm.ppf(0.5 + level / 2)) * (rate * (1 - rate) / 500) ** 0.5
    assert interval.level == level
    assert (interval.low, interval.high) == pytest.approx((rate - half, rate + half), abs=2 / 500)


def test_interval_for_one_sample_each_is_wilson_else_bootstrap() -> None:
    """The method follows from the numbers, and is named."""
    assert interval_for([(1, 1), (1, 0)], 1).method == "wilson"
    assert interval_for([(2, 1), (2, 0)], 1).method.startswith("bootstrap")
    assert interval_for([(2, 1), (2, 0)], 2).method.startswith("bootstrap")


@given(st.lists(st.tuples(st.just(6), st.integers(0, 6)), min_size=1, max_size=12), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_intervals_of_many_k_are_those_of_each_alone(counts: list[tuple[int, int]], seed: int) -> None:
    """To the last bit: drawing the problems once for all is nothing but quicker."""
    ks = [1, 2, 6, 1]
    assert intervals_for(counts, ks, seed) == [interval_for(counts, k, seed) for k in ks]


@pytest.mark.parametrize(("counts", "k"), [([(4, 0)] * 12, 1), ([(4, 4)] * 12, 2), ([(2, 1)] * 12, 1), ([(4, 0)], 4)])
def test_interval_of_problems_that_are_all_alike_has_a_width(counts: list[tuple[int, int]], k: int) -> None:
    """None of twelve solved is no proof of nothing: resampling would say so, Wilson does not."""
    interval = interval_for(counts, k)
    assert interval.high - interval.low > 0.2
    assert interval.method == "wilson"
