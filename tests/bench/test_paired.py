"""Comparing two runs: the exact test, its power, and what the statement says."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from apr_leaderboard.bench.paired import Comparison, RateComparison, compare_counts, compare_runs, mcnemar_exact, power
from apr_leaderboard.errors import RequestError


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_exact_equals_the_binomial_test(lost: int, gained: int) -> None:
    """scipy's two-sided test of one half, which for one half is twice the smaller tail."""
    peer = binomtest(lost, lost + gained).pvalue if lost + gained else 1.0
    assert mcnemar_exact(lost, gained) == pytest.approx(peer, rel=1e-9)


@pytest.mark.parametrize(
    ("lost", "gained", "p"), [(0, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (1, 1, 1.0), (10, 2, 0.03857421875)]
)
def test_mcnemar_exact_by_hand_agrees(lost: int, gained: int, p: float) -> None:
    """Worked out on paper."""
    assert mcnemar_exact(lost, gained) == p


def test_mcnemar_exact_negative_counts_are_refused() -> None:
    """No such thing."""
    with pytest.raises(RequestError, match="0 or more"):
        mcnemar_exact(-1, 2)


@pytest.mark.parametrize(("n", "p_lost", "p_gained"), [(164, 0.08, 0.03), (50, 0.3, 0.1), (164, 0.05, 0.0)])
def test_power_equals_simulation(n: int, p_lost: float, p_gained: float) -> None:
    """Twenty thousand made-up runs reject about as often as the exact sum says."""
    generator = np.random.default_rng(1)
    draws = generator.multinomial(n, [p_lost, p_gained, 1 - p_lost - p_gained], size=20_000)
    rejected = np.mean([mcnemar_exact(int(b), int(c)) <= 0.05 for b, c, _ in draws])
    assert power(n, p_lost, p_gained) == pytest.approx(float(rejected), abs=0.012)


@given(st.integers(1, 400), st.floats(0, 0.5))
def test_power_without_a_difference_stays_within_the_level(n: int, chance: float) -> None:
    """The exact test never finds what is not there more than one time in twenty."""
    assert power(n, chance, chance) <= 0.05 + 1e-9


def test_power_of_a_five_point_drop_on_164_tasks_is_small() -> None:
    """Why a gate must state it: with 10 % of tasks flipping, such a drop is mostly missed."""
    assert power(164, 0.075, 0.025) < 0.6


def test_compare_runs_names_the_flipped_tasks() -> None:
    """Which way each task went, in the order of the first run."""
    a = {f"T/{n}": n % 2 == 0 for n in range(10)}
    b = a | {"T/0": False, "T/1": True, "T/2": False}
    comparison = compare_runs(a, b)
    assert comparison.lost == ("T/0", "T/2")
    assert comparison.gained == ("T/1",)
    assert comparison.difference == pytest.approx(-0.1)
    assert not comparison.significant
    text = comparison.statement()
    for part in ("5/10 -> 4/10 (-10.0 points)", "lost 2 (T/0, T/2)", "gained 1 (T/1)", "p = 1", "cannot be told"):
        assert part in text


def test_compare_runs_large_one_sided_loss_is_significant() -> None:
    """Thirty tasks lost and none gained is no chance."""
    a = {f"T/{n}": True for n in range(164)}
    b = {f"T/{n}": n >= 30 for n in range(164)}
    comparison = compare_runs(a, b)
    assert comparison.significant
    assert "more than chance" in comparison.statement()
    assert "and 22 more" in comparison.statement()


def test_compare_runs_detectable_drop_has_the_power_it_claims() -> None:
    """At the stated drop the power is at least 0.8, one task less and it is not."""
    a = {f"T/{n}": n < 100 for n in range(164)}
    b = a | {f"T/{n}": n >= 100 for n in (*range(8), *range(100, 108))}
    drop = compare_runs(a, b).detectable_drop
    assert drop is not None
    flips = 16 / 164

    def found(share: float) -> float:
        gained = max(0.0, (flips - share) / 2)
        return power(164, gained + share, gained)

    assert found(drop) >= 0.8 > found(drop - 1 / 164)


def test_compare_runs_over_different_tasks_is_refused_with_names() -> None:
    """A task missing from one run is not a task unsolved."""
    with pytest.raises(RequestError, match=r"only in the first: b; only in the second: c"):
        compare_runs({"a": True, "b": True}, {"a": True, "c": True})


def test_compare_runs_of_nothing_is_refused() -> None:
    """No tasks, no comparison."""
    with pytest.raises(RequestError, match="at least one task"):
        compare_runs({}, {})


def _rates(a: list[tuple[int, int]], b: list[tuple[int, int]]) -> RateComparison:
    found = compare_counts(*({f"T/{place}": one for place, one in enumerate(run)} for run in (a, b)))
    assert isinstance(found, RateComparison)
    return found


def test_compare_counts_of_one_sample_each_is_the_exact_test() -> None:
    """The same flips, the same p."""
    a, b = {"x": (1, 1), "y": (1, 0)}, {"x": (1, 0), "y": (1, 0)}
    found = compare_counts(a, b)
    assert isinstance(found, Comparison)
    assert found == compare_runs({"x": True, "y": False}, {"x": False, "y": False})


def test_compare_counts_of_more_samples_does_not_take_them_for_skill() -> None:
    """Ten draws solve more tasks at least once than five draws of the same coin; the rates are what is compared."""
    generator = np.random.default_rng(3)
    chances = generator.beta(0.6, 0.5, size=164)
    drawn = [[(n, int(generator.binomial(n, p))) for p in chances] for n in (10, 5)]
    ever = [sum(c > 0 for _, c in one) for one in drawn]
    found = _rates(drawn[0], drawn[1])
    assert ever[0] > ever[1]
    assert found.samples == (10, 5)
    assert not found.significant
    assert abs(found.difference) < 0.05


def test_compare_counts_of_a_clear_loss_is_found_and_said() -> None:
    """Each of forty tasks loses two of its five samples."""
    found = _rates([(5, 4)] * 40, [(5, 2)] * 40)
    assert found.significant
    text = found.statement()
    for part in ("80.0 % -> 40.0 % (-40.0 points", "5 and 5 samples", "lower on 40", "higher on 0", "more than chance"):
        assert part in text


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
def test_compare_counts_of_few_tasks_equals_every_flip_of_signs(passed: list[tuple[int, int]]) -> None:
    """All 2^n ways to exchange the runs task by task, counted one by one."""
    found = _rates([(3, c) for c, _ in passed], [(3, c) for _, c in passed])
    gaps = [after - before for before, after in passed]
    sums = [
        sum(sign * gap for sign, gap in zip(signs, gaps, strict=True)) for signs in product((1, -1), repeat=len(gaps))
    ]
    as_far = sum(abs(one) >= abs(sum(gaps)) for one in sums) / len(sums)
    assert found.p_value == pytest.approx(as_far)


@pytest.mark.slow
def test_compare_counts_smallest_difference_has_the_power_it_claims() -> None:
    """Of made-up runs that differ by it on average, about four in five are found."""
    generator = np.random.default_rng(5)
    start = generator.integers(4, 9, size=100)
    noise = generator.integers(-2, 3, size=100)
    drop = _rates([(10, int(c)) for c in start], [(10, int(c)) for c in start + noise]).detectable_drop
    seen = 0
    for _ in range(30):
        moved = np.clip(
            start - generator.choice([-2, -1, 0, 1, 2], size=100) - generator.binomial(1, 10 * drop, 100), 0, 10
        )
        seen += _rates([(10, int(c)) for c in start], [(10, int(c)) for c in moved]).significant
    assert 0.55 <= seen / 30 <= 0.97


def test_compare_counts_without_a_sample_is_refused() -> None:
    """No rate of nothing."""
    with pytest.raises(RequestError, match="at least one sample"):
        compare_counts({"x": (0, 0)}, {"x": (1, 1)})
