"""The oracles of merging and pruning, on cases done by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from apr_leaderboard.criteria.plans import reasons_first
from apr_leaderboard.criteria.quality import copyleft, repeated_code
from apr_leaderboard.criteria.weighing import conflicts, largest_gap, norm_drift, slerp_of, ties_of, wanda_mask
from apr_leaderboard.proof import Refuted


def test_ties_of_opposed_entries_takes_the_heavier_side() -> None:
    """2 against -1: the mean of those that agree with the sum, which is 2 alone."""
    base = {"w": np.zeros(3)}
    merged, _ = ties_of(base, [{"w": np.array([2.0, 1.0, 3.0])}, {"w": np.array([-1.0, 3.0, -4.0])}], 1.0)
    assert merged["w"].tolist() == [2.0, 2.0, -4.0]


def test_ties_of_density_keeps_the_largest() -> None:
    """A third of three entries is one."""
    _, tasks = ties_of({"w": np.zeros(3)}, [{"w": np.array([1.0, -5.0, 2.0])}], 1 / 3)
    assert tasks["w"][0].tolist() == [0.0, -5.0, 0.0]


def test_conflicts_of_a_plain_mean_stay() -> None:
    """Where signs are elected none is left; in a mean all are."""
    base = {"w": np.zeros(2)}
    models = [{"w": np.array([2.0, 1.0])}, {"w": np.array([-1.0, 1.0])}]
    merged, tasks = ties_of(base, models, 1.0)
    mean = {"w": (models[0]["w"] + models[1]["w"]) / 2}
    assert conflicts(base, merged, tasks) == (1, 0)
    assert conflicts(base, mean, tasks) == (1, 1)


def test_slerp_of_unit_vectors_keeps_their_norm() -> None:
    """Halfway between two axes."""
    a, b = {"w": np.array([1.0, 0.0])}, {"w": np.array([0.0, 1.0])}
    merged = slerp_of(a, b, 0.5)
    assert norm_drift(merged, a, b, 0.5)[0] < 1e-12
    assert norm_drift({"w": (a["w"] + b["w"]) / 2}, a, b, 0.5)[0] > 0.2


def test_wanda_mask_of_a_loud_input_spares_its_small_weight() -> None:
    """The smallest weight reads the loudest feature; magnitude would take it."""
    mask = wanda_mask(np.array([[0.1, 0.5]]), np.array([100.0, 1.0]), 0.5)
    assert mask.tolist() == [[False, True]]


def test_largest_gap_of_another_shape_is_refuted() -> None:
    """Not a broadcast."""
    with pytest.raises(Refuted, match="shape"):
        largest_gap({"w": np.zeros((2, 1))}, {"w": np.zeros((1, 2))})


def test_largest_gap_of_nan_is_seen() -> None:
    """NaN is above every bound."""
    gap, where = largest_gap({"w": np.array([np.nan])}, {"w": np.array([1.0])})
    assert (np.isnan(gap), where) == (True, "w")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("1. add them\n```python\nx\n```", True),
        ("```python\nx\n```\nFinally, done", False),
        ("```python\nx\n```", None),
        ("I cannot", None),
        ("Plan: loop\n\ndef f():\n    pass", True),
    ],
)
def test_reasons_first_of_an_answer_is_as_read(text: str, first: bool | None) -> None:
    """Reasoning before code, after it, or not both."""
    assert reasons_first(text) is first


def test_repeated_code_in_two_files_is_found_once(tmp_path: Path) -> None:
    """The same function of more than a hundred tokens, in another layout."""
    body = "def f(a):\n" + "".join(f"    a = a + {n} * (a - {n})\n" for n in range(15)) + "    return a\n"
    (tmp_path / "one.py").write_text(body)
    (tmp_path / "two.py").write_text(f'"""Doc."""\n\n# a comment\n{body}')
    (tmp_path / "three.py").write_text(body.replace("* (a", "+ (a"))
    found = repeated_code(sorted(tmp_path.glob("*.py")))
    assert len(found) == 1
    assert "one.py" in found[0]


def test_copyleft_of_dual_licences_is_none() -> None:
    """GPL alone binds; with MIT beside it, or lesser, it does not."""
    words = {"a": "GPL-3.0", "b": "MIT or GPL-2.0", "c": "LGPL-2.1", "d": "Apache-2.0"}
    assert [line.split()[0] for line in copyleft(words)] == ["a"]
