"""The jobs that several criteria ask for, each asked for in one way, so that each is done once."""

from __future__ import annotations

from pathlib import Path

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import MergeJob, PruneJob, QuantizeJob
from apr_leaderboard.model.stage import MergeParams, PruneParams, QuantizeParams
from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.lab import Made

__all__ = ["merge", "prune", "quantize", "weights_bytes"]


def merge(trial: Trial, params: MergeParams, *models: Made, base: Made | None = None) -> Made:
    """Models as they come, each imported by the engine, joined by it; `base` is where task vectors start."""
    given = [trial.imported(one) for one in models]
    beside = [] if base is None else [trial.imported(base)]
    # The models' names are the recipe's affair: here they come by themselves.
    plain = params.model_dump(mode="json", exclude={"models", "base_model"})
    return trial.make(
        lambda found: MergeJob(found[: len(given)], found[-1] if beside else None, params), plain, [*given, *beside]
    )


def prune(trial: Trial, params: PruneParams, calibration: Path | None = None) -> Made:
    """The model asked, pruned by the engine."""
    plain = params.model_dump(mode="json", exclude={"calibration"})
    return trial.make(lambda found: PruneJob(found[0], calibration, params), plain, [trial.model()], calibration)


def quantize(trial: Trial, params: QuantizeParams) -> Made:
    """The model asked, in fewer bits by the engine."""
    return trial.make(lambda found: QuantizeJob(found[0], params), params, [trial.model()])


def weights_bytes(made: Made) -> int:
    """Bytes of a checkpoint's weights: its one file, or its SafeTensors file."""
    if made.checkpoint is None:
        raise Refuted("the job left no checkpoint")
    path = made.checkpoint.path
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise Refuted(f"{path.name} holds no weights")
    return sum(file.stat().st_size for file in files)
