"""How long each job may take before it counts as stuck."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from apr_leaderboard.engine.jobs import Checkpoint, Job

__all__ = ["checkpoint_bytes", "job_seconds"]

_SECONDS: Final[dict[str, float]] = {
    "import": 3600.0,
    "check": 900.0,
    "inspect": 300.0,
    "perplexity": 7200.0,
    "bench": 3600.0,
    "export": 3600.0,
    "merge": 3600.0,
    "prune": 3600.0,
    "quantize": 3600.0,
    "prep-data": 900.0,
    "distill": 3600.0,
    "compile": 900.0,
}
_TRAINING_SECONDS: Final = 150.0
_SMALL_MIB: Final = 64
_TRAINING_SECONDS_PER_MIB: Final = 36.0
_LONGEST: Final = 86400.0


def job_seconds(job: Job, model_bytes: int) -> float:
    """Seconds for `job` on a checkpoint of that size: generous, yet bounded.

    Training gets 150 s for a model of up to 64 MiB, so that the smoke profiles of all twelve recipes report within half
    an hour, and 36 s for each MiB more (5 hours for 0.5 GB), a day at most.
    """
    if job.op not in ("finetune", "align"):
        return _SECONDS[job.op]
    more = max(0, (model_bytes >> 20) - _SMALL_MIB)
    return min(_TRAINING_SECONDS + _TRAINING_SECONDS_PER_MIB * more, _LONGEST)


def checkpoint_bytes(model: Checkpoint) -> int:
    """Size on disk; 0 where there is nothing."""
    path = Path(model.path)
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
