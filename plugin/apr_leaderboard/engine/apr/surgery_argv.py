"""Command lines of `apr merge`, `prune` and `quantize`, as pure functions, and what they cannot be told.

A parameter the program has no word for is left out and named by `unhonoured`; one that it has a word for is passed
even where it will refuse it, so that the refusal is its own.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from apr_leaderboard.engine.apr.argv import MODEL_FILE, model_argument
from apr_leaderboard.engine.jobs import MergeJob, PruneJob, QuantizeJob
from apr_leaderboard.model.record import Finding

__all__ = ["ignored_by_surgery", "merge_models_argv", "prune_argv", "quantize_argv", "unhonoured_surgery"]


def merge_models_argv(binary: Path, job: MergeJob, out: Path) -> tuple[str, ...]:
    """`apr merge`.

    linear is its `average`, or `weighted` with weights that add up to 1 (it scales the result by their sum). For slerp
    its first weight is t, the share of the second model.
    """
    params = job.params
    argv = [str(binary), "merge", *(model_argument(model) for model in job.models)]
    if params.strategy == "linear":
        argv += ["--strategy", "weighted" if params.weights else "average"]
        if params.weights:
            total = sum(params.weights)
            argv += ["--weights", ",".join(repr(weight / total) for weight in params.weights)]
    else:
        argv += ["--strategy", params.strategy]
    if params.strategy == "slerp" and params.t is not None:
        argv += ["--weights", f"{params.t!r},{1 - params.t!r}"]
    if params.strategy in ("ties", "dare") and job.base is not None:
        argv += ["--base-model", model_argument(job.base)]
    if params.strategy == "ties" and params.density is not None:
        argv += ["--density", repr(params.density)]
    if params.strategy == "dare":
        argv += ["--drop-rate", repr(params.drop_rate)] if params.drop_rate is not None else []
        argv += ["--seed", str(params.seed)]
    return (*argv, "-o", str(out / MODEL_FILE), "--json")


def prune_argv(binary: Path, job: PruneJob, out: Path) -> tuple[str, ...]:
    """`apr prune`. Which layers to drop is not said for depth: the program is asked to find them, as for the rest."""
    params = job.params
    argv = [str(binary), "prune", model_argument(job.model), "--method", params.method]
    argv += ["--target-ratio", repr(params.target_ratio)]
    if job.calibration is not None:
        argv += ["--calibration", str(job.calibration)]
    return (*argv, "-o", str(out / MODEL_FILE), "--json")


def quantize_argv(binary: Path, job: QuantizeJob, out: Path) -> tuple[str, ...]:
    """`apr quantize`."""
    scheme = ("--scheme", job.params.scheme)
    return (str(binary), "quantize", model_argument(job.model), *scheme, "-o", str(out / MODEL_FILE), "--json")


def unhonoured_surgery(job: MergeJob | PruneJob | QuantizeJob, argv: Sequence[str]) -> list[Finding]:
    """Parameters that were written and that the program offers no way to pass."""
    line = shlex.join(argv)
    return [
        Finding(code="parameter-not-honoured", message=message, command=line) for message in ignored_by_surgery(job)
    ]


def ignored_by_surgery(job: MergeJob | PruneJob | QuantizeJob) -> list[str]:
    """The same in words, one line each."""
    told: list[str] = []
    if isinstance(job, MergeJob):
        params = job.params
        if params.lambda_ != 1.0:
            told.append(f"lambda {params.lambda_:g}: the program always adds the whole task vector")
        if params.weights is not None and params.strategy in ("ties", "dare"):
            told.append(f"weights: ignored there for {params.strategy}")
        if params.elect_signs:
            told.append("elect_signs: its dare elects none")
    elif isinstance(job, PruneJob):
        written = sorted(job.params.model_fields_set & {"parts", "block_size", "damping", "calibration_window"})
        told += [f"{name}: no such option there" for name in written]
    return told
