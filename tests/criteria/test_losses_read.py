"""What a training leaves, read: courses of figures, and bytes held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from apr_leaderboard.criteria.losses import Course, course_of, held_bytes, peak_bytes
from apr_leaderboard.criteria.memory import memory_of_7b
from apr_leaderboard.model.record import EngineIdentity, StageRecord
from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.lab import Made


def trained(folder: Path, **figures: Any) -> Made:
    """A job with these figures."""
    identity = EngineIdentity(name="x", version="1", build="0")
    record = StageRecord(op="finetune", engine=identity, command=(), figures=figures)
    return Made(cast(Any, None), folder, record=record)


def test_ends_of_a_course_are_its_first_and_its_last_tenth() -> None:
    """Of twenty steps two at each end, of three one."""
    assert Course(tuple(map(float, range(20))), (1,) * 20).ends() == (0.5, 18.5)
    assert Course((3.0, 9.0, 1.0), (1, 1, 1)).ends() == (3.0, 1.0)


def test_course_by_epoch_is_each_epochs_mean(tmp_path: Path) -> None:
    """In the epochs' order; a step without the figure is in none."""
    rows: list[dict[str, Any]] = [
        {"epoch": 1, "loss": 4.0, "margin": 0.0},
        {"epoch": 1, "loss": 2.0},
        {"epoch": 2, "loss": 1.0, "margin": 0.5},
    ]
    (tmp_path / "losses.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert course_of(trained(tmp_path), "loss").by_epoch() == [3.0, 1.0]
    assert course_of(trained(tmp_path), "margin").by_epoch() == [0.0, 0.5]
    with pytest.raises(Refuted, match=r"has no reward; it has epoch, loss, margin"):
        course_of(trained(tmp_path), "reward")


def test_bytes_held_are_told_apart_and_none_is_guessed(tmp_path: Path) -> None:
    """Frozen is what is not trained."""
    made = trained(tmp_path, weights_bytes=100, trainable_bytes=30, optimizer_bytes=60)
    assert held_bytes(made) == (70, 30, 60)
    assert peak_bytes(made) is None
    assert peak_bytes(trained(tmp_path, peak_rss_bytes=7)) == 7
    with pytest.raises(Refuted, match="does not tell what its training holds: no 'optimizer_bytes'"):
        held_bytes(trained(tmp_path, weights_bytes=100, trainable_bytes=30))


def test_memory_of_a_7b_counts_weights_adapter_and_optimizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Qwen2.5-7B by hand: 6,525,288,448 weights in the layers' matrices, 40,370,176 in an adapter of rank 16."""
    import numpy as np

    from apr_leaderboard.criteria import memory

    tensors = {"model.layers.0.mlp.up_proj.weight": np.zeros((10, 10)), "model.norm.weight": np.zeros(5)}
    monkeypatch.setattr(memory, "tensors_of", lambda made: tensors)
    # Half a byte for each of 100 weights, four for each of the other 5; an optimizer of twice what is trained.
    made = trained(tmp_path, weights_bytes=50 + 20 + 8, trainable_bytes=8, optimizer_bytes=16)
    embeddings = 2 * 152064 * 3584
    assert memory_of_7b(made) == pytest.approx(0.5 * 6_525_288_448 + 4 * embeddings + 4 * 40_370_176 * 3)
