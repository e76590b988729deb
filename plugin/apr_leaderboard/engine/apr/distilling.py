"""`apr distill`: its command line, and whether the student it leaves learnt anything."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from apr_leaderboard.engine.apr.argv import MODEL_FILE, model_argument
from apr_leaderboard.engine.apr.outputs import Figures
from apr_leaderboard.engine.apr.surgery import dropped_findings
from apr_leaderboard.engine.apr.surgery_models import AnyModel, open_model
from apr_leaderboard.engine.jobs import Checkpoint, DistillJob
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import Finding

__all__ = ["distill_argv", "ignored_by_distill", "verify_student"]


def distill_argv(binary: Path, job: DistillJob, out: Path) -> tuple[str, ...]:
    """`apr distill`. It takes one teacher; text mode is its stage `generate`."""
    params = job.params
    stage = ["--stage", "generate"] if params.mode == "text" else []
    return (
        str(binary), "distill", model_argument(job.teachers[0]), "--student", model_argument(job.model),
        "--data", str(job.data), "--strategy", params.strategy, *stage,
        "--temperature", repr(params.temperature), "--alpha", repr(params.alpha), "--epochs", str(params.epochs),
        "-o", str(out / MODEL_FILE), "--json",
    )  # fmt: skip


def ignored_by_distill(job: DistillJob) -> list[str]:
    """Parameters that were written and that `apr distill` 0.72.3 has no option for."""
    written = sorted(job.params.model_fields_set & {"learning_rate", "batch_size", "max_seq_len", "seed", "max_tokens"})
    told = [f"{name}: no such option there" for name in written]
    if len(job.teachers) > 1:
        told.append(f"more_teachers: it takes one teacher, {len(job.teachers)} were asked for")
    return told


def verify_student(job: DistillJob, path: Path, argv: Sequence[str]) -> tuple[Figures, list[Finding]]:
    """The student must have moved, and not be the teacher. Raises `EngineOutputError` where it is either."""
    line = shlex.join(argv)
    try:
        written, student, teacher = (
            open_model(model) for model in (Checkpoint(path, "apr"), job.model, job.teachers[0])
        )
        if written.shapes != student.shapes:
            raise ValueError("its tensors are not the student's by name and shape")
        moved = _moved(written, student)
        if not moved:
            raise ValueError(f"distilling changed nothing: all {len(student.shapes)} tensors equal the student's")
        if written.shapes == teacher.shapes and not _moved(written, teacher):
            raise ValueError("it is the teacher: all tensors equal")
    except FileNotFoundError:
        raise EngineOutputError("apr", f"reported success but wrote no {path.name}", command=argv) from None
    except ValueError as error:
        raise EngineOutputError("apr", f"{path.name}: {error}", command=argv) from error
    told = [("parameter-not-honoured", message) for message in ignored_by_distill(job)]
    findings = [Finding(code=code, message=message, command=line) for code, message in told]
    figures: Figures = {"n_tensors": len(written.shapes), "n_tensors_moved": moved}
    return figures, [*findings, *dropped_findings(written, student, line)]


def _moved(written: AnyModel, before: AnyModel) -> int:
    """How many tensors differ. Raises ValueError for values that are not finite."""
    moved = 0
    for name in written.shapes:
        now, then = written.values(name), before.values(name)
        if now is not None and not bool(np.isfinite(now).all()):
            raise ValueError(f"tensor {name}: {int((~np.isfinite(now)).sum())} values are not finite")
        moved += now is None or then is None or not np.array_equal(now, then)
    return moved
