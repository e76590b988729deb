"""Cases drawn, differences grouped, shrunk to the simplest, and every operation's claims able to fail."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from apr_leaderboard.errors import RequestError
from apr_leaderboard.proof.differ import (
    OPERATIONS,
    Axis,
    Operation,
    Picks,
    Seen,
    Trial,
    chosen_operations,
    draw_cases,
    groups_of,
    shrunk,
    slug_of,
)
from apr_leaderboard.proof.differ.look import differences
from apr_leaderboard.proof.differ.operation import simpler
from apr_leaderboard.proof.differ.tiny import TinyModel


def _nothing(values: Any, folder: Path) -> Trial:
    raise AssertionError("not built here")


def _operation(*sizes: int) -> Operation:
    axes = tuple(Axis(f"axis{i}", tuple(range(size))) for i, size in enumerate(sizes))
    return Operation("op-one", "nothing", axes, _nothing)


def _difference(detail: str = "other value") -> dict[str, str]:
    return {"claim": "c", "detail": detail, "where": "w", "expected": "1", "got": "2"}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 60), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_drawn_cases_are_different_and_the_same_for_a_seed(sizes: list[int], count: int, seed: int) -> None:
    """As many as asked for, or the whole grid, each on its axes."""
    operation = _operation(*sizes)
    cases = draw_cases(operation, count, seed)
    assert len(set(cases)) == len(cases) == min(count, operation.grid)
    assert cases == draw_cases(operation, count, seed)
    assert all(0 <= place < size for picks in cases for place, size in zip(picks, sizes, strict=True))


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_simpler_cases_move_one_axis_back(place: list[int]) -> None:
    """So that shrinking ends."""
    picks = tuple(place)
    for candidate in simpler(picks):
        moved = [(a, b) for a, b in zip(candidate, picks, strict=True) if a != b]
        assert len(moved) == 1
        assert moved[0][0] < moved[0][1]


@given(st.tuples(*[st.integers(0, 5)] * 3), st.tuples(*[st.integers(0, 5)] * 3))
@settings(max_examples=60, deadline=None)
def test_shrinking_ends_at_the_least_case_that_differs(least: Picks, more: Picks) -> None:
    """Where a difference needs so much on each axis, exactly that is left."""
    operation = _operation(11, 11, 11)

    def attempt(one: Operation, picks: Picks) -> Seen:
        differs = all(place >= needed for place, needed in zip(picks, least, strict=True))
        return Seen(one.name, picks, (("s", _difference()),) if differs else ())

    start = tuple(a + b for a, b in zip(least, more, strict=True))
    group = groups_of([attempt(operation, start)])[0]
    assert shrunk(operation, group, attempt).picks == least


def test_shrinking_keeps_to_one_signature() -> None:
    """A simpler case that differs otherwise is another difference."""
    operation = _operation(5)

    def attempt(one: Operation, picks: Picks) -> Seen:
        return Seen(one.name, picks, (("high" if picks[0] > 2 else "low", _difference()),))

    group = groups_of([attempt(operation, (4,))])[0]
    assert shrunk(operation, group, attempt).picks == (3,)


def test_groups_count_their_cases_and_start_from_the_nearest() -> None:
    """One for each signature, in order."""
    seen = [Seen("op-one", picks, (("b", _difference()),)) for picks in [(3, 0), (1, 1), (4, 4)]]
    seen.append(Seen("op-one", (0, 0), (("a", _difference()),)))
    assert [(g.signature, g.cases, g.picks) for g in groups_of(seen)] == [("a", 1, (0, 0)), ("b", 3, (1, 1))]


@pytest.mark.parametrize(
    ("details", "outcome"),
    [
        ([], "agree"),
        (["other value"], "differ"),
        (["refused: no"], "refused"),
        (["crashed: panic"], "crashed"),
        (["done"], "differ"),
    ],
)
def test_outcome_of_a_case_is_its_worst(details: list[str], outcome: str) -> None:
    """A program that does what it should have refused differs."""
    found = tuple((f"s{i}", _difference(detail)) for i, detail in enumerate(details))
    assert Seen("op", (0,), found).outcome == outcome


@given(st.text(min_size=1, max_size=200))
@settings(max_examples=100, deadline=None)
def test_slug_is_a_file_name(signature: str) -> None:
    """Whatever the program said."""
    slug = slug_of(signature)
    assert len(slug) <= 65
    assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_unknown_operation_is_refused_with_the_known_ones() -> None:
    """And names may be given in any order."""
    with pytest.raises(RequestError, match=r"--ops: got 'fly'; allowed: import-safetensors, .*data-balance"):
        chosen_operations("inspect,fly")
    assert [one.name for one in chosen_operations("inspect, import-gguf")] == ["import-gguf", "inspect"]


def test_there_are_two_hundred_cases_of_every_operation() -> None:
    """Or the whole grid, which is no smaller here."""
    assert len(OPERATIONS) >= 12
    assert all(operation.grid >= 200 for operation in OPERATIONS.values())


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_idle_program_differs_in_every_operation(name: str, tmp_path: Path) -> None:
    """One that ends well and does nothing: no operation's claims are empty."""
    operation = OPERATIONS[name]
    for number, picks in enumerate([(0,) * len(operation.axes), *draw_cases(operation, 2, 5)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        trial = operation.build(operation.values(picks), folder)
        for step in range(1, len(trial.commands) + 1):
            for stream, text in (("stdout", "{}"), ("stderr", ""), ("exit", "0")):
                (folder / f"{step}.{stream}").write_text(text)
        assert differences(folder, trial.all_claims()), operation.values(picks)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_weights_as_expected_agree_and_one_weight_off_does_not(name: str, tmp_path: Path) -> None:
    """Each claim about weights, with a file of just those weights, and with one of them moved."""
    operation = OPERATIONS[name]
    for picks in draw_cases(operation, 3, 9):
        (tmp_path / "in").mkdir()
        trial = operation.build(operation.values(picks), tmp_path / "in")
        for claim in trial.claims:
            wanted = claim["expect"] if claim["kind"] == "tensors" else {}
            if not wanted or any("values" not in one for one in wanted.values()):
                continue
            arrays = {n: np.asarray(w["values"], np.float32).reshape(w["shape"]) for n, w in wanted.items()}
            path = tmp_path / "in" / claim["file"]
            path.parent.mkdir(exist_ok=True)
            save_file(arrays, path)
            assert differences(tmp_path / "in", [claim]) == []
            first = next(iter(arrays))
            arrays[first].reshape(-1)[0] += 2 * wanted[first]["within"] + 100
            save_file(arrays, path)
            assert [one["detail"] for one in differences(tmp_path / "in", [claim])] == ["other values"]
        shutil.rmtree(tmp_path / "in")


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_tiny_model_is_written_as_its_tensors_say(tmp_path: Path, dtype: str) -> None:
    """What a reader gets back is what the oracle computes with; and twice the same bytes."""
    model = TinyModel(seed=3, layers=2, heads=2, head_dim=8, dtype=dtype)
    path = tmp_path / model.write(tmp_path / "m")
    read = load_file(path)
    assert {name: array.astype(np.float32).tolist() for name, array in read.items()} == {
        name: array.tolist() for name, array in model.tensors.items()
    }
    TinyModel(seed=3, layers=2, heads=2, head_dim=8, dtype=dtype).write(tmp_path / "n")
    assert path.read_bytes() == (tmp_path / "n" / "model.safetensors").read_bytes()


def test_tuned_model_is_near_its_base_and_the_same_each_time() -> None:
    """And another one for another number."""
    base = TinyModel(seed=2)
    one, again, other = (base.tuned(number).tensors for number in (1, 1, 2))
    name = "model.layers.0.mlp.up_proj.weight"
    assert np.array_equal(one[name], again[name])
    assert not np.array_equal(one[name], other[name])
    assert np.abs(one[name] - base.tensors[name]).max() < 1.5 * np.abs(base.tensors[name]).max() + 0.1


def test_tokenizer_of_a_tiny_model_merges_and_knows_its_marks() -> None:
    """By the tokenizers library, from its own tokenizer.json."""
    model = TinyModel()
    ids = [model.tokens.index(token) for token in ("abcd", "Ġth", "e", "<|im_end|>")]
    assert model.encode("abcd the<|im_end|>") == ids
