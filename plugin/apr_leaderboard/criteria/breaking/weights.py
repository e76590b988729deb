"""Saboteurs of weights: an operation leaves others than it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.criteria.breaking.tampering import Change, change_weights, drop_tensor
from apr_leaderboard.criteria.saboteur import Saboteur
from apr_leaderboard.engine import ImportJob, MergeJob, PruneJob, QuantizeJob
from apr_leaderboard.model.record import StageRecord
from apr_leaderboard.model.stage import PruneParams, QuantizeParams

__all__ = ["SABOTEURS"]

_FIRST: Final = "model.layers.0.mlp.up_proj.weight"


def _tampered(change: Change) -> Any:
    def leave(job: object, out: Path, record: StageRecord) -> StageRecord:
        del job
        assert record.checkpoint is not None
        change_weights(out / record.checkpoint, change)
        return record

    return leave


def _drop_one(job: ImportJob, out: Path, record: StageRecord) -> StageRecord:
    del job
    assert record.checkpoint is not None
    drop_tensor(out / record.checkpoint, _FIRST)
    return record


def _flip_one(name: str, values: Any) -> Any:
    return -values if name == _FIRST else values


def _louder_norms(name: str, values: Any) -> Any:
    return values * 1.5 if "norm" in name else values


def _shrunk(name: str, values: Any) -> Any:
    del name
    return values * np.float32(0.9)


def _hard(job: PruneJob) -> PruneJob:
    return PruneJob(job.model, None, PruneParams(method="magnitude", target_ratio=0.9))


def _by_magnitude(job: PruneJob) -> PruneJob:
    return PruneJob(job.model, None, PruneParams(method="magnitude", target_ratio=job.params.target_ratio))


def _as_half(job: QuantizeJob) -> QuantizeJob:
    return QuantizeJob(job.model, QuantizeParams(scheme="fp16"))


def _plain_mean(job: MergeJob) -> MergeJob:
    return MergeJob(job.models, None, job.params.model_copy(update={"strategy": "linear"}))


SABOTEURS: Final = (
    Saboteur(
        "import-loses-a-tensor",
        "import loses one tensor of the source",
        frozenset({"import"}),
        leave=_drop_one,
    ),
    Saboteur(
        "import-flips-a-sign", "import flips the sign of one matrix", frozenset({"import"}), leave=_tampered(_flip_one)
    ),
    Saboteur(
        "import-scales-the-norms",
        "import makes every norm half as large again",
        frozenset({"import"}),
        leave=_tampered(_louder_norms),
    ),
    Saboteur(
        "merge-shrinks", "merge leaves every weight a tenth smaller", frozenset({"merge"}), leave=_tampered(_shrunk)
    ),
    Saboteur(
        "ties-is-a-plain-mean",
        "ties averages whatever the signs",
        frozenset({"merge"}),
        _plain_mean,
    ),
    Saboteur("prune-takes-nine-tenths", "prune takes nine tenths, not one", frozenset({"prune"}), _hard),
    Saboteur("wanda-is-magnitude", "wanda does what magnitude does", frozenset({"prune"}), _by_magnitude),
    Saboteur("int4-is-fp16", "quantize to int4 leaves half precision", frozenset({"quantize"}), _as_half),
)
