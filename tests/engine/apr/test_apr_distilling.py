"""A student that `apr distill` left must have learnt something, and of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from apr_leaderboard.engine import Checkpoint, DistillJob
from apr_leaderboard.engine.apr.distilling import verify_student
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.stage import DistillParams

_Build = Callable[..., bytes]
_STUDENT, _TEACHER, _TAUGHT = (np.full((2, 3), value, np.float32) for value in (0.0, 1.0, 0.5))


def _write(path: Path, build: _Build, array: np.ndarray) -> Checkpoint:  # type: ignore[type-arg]
    path.write_bytes(build({"w": ("F32", array.shape, array.tobytes()), "v": ("F32", (1,), bytes(4))}))
    return Checkpoint(path, "apr")


def _verify(tmp_path: Path, build: _Build, left: np.ndarray):  # type: ignore[no-untyped-def, type-arg]
    models = [_write(tmp_path / name, build, of) for name, of in (("s.apr", _STUDENT), ("t.apr", _TEACHER))]
    job = DistillJob(models[0], (models[1],), tmp_path / "d.jsonl", DistillParams(teacher="t", dataset="d"))
    return verify_student(job, _write(tmp_path / "model.apr", build, left).path, ("apr", "distill"))


def test_student_that_moved_passes(tmp_path: Path, apr_bytes: _Build) -> None:
    """With the number of tensors that did."""
    figures, findings = _verify(tmp_path, apr_bytes, _TAUGHT)
    assert (figures, findings) == ({"n_tensors": 2, "n_tensors_moved": 1}, [])


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (_STUDENT, "distilling changed nothing: all 2 tensors equal the student's"),
        (_TEACHER, "it is the teacher: all tensors equal"),
        (np.full((2, 3), np.nan, np.float32), "tensor w: 6 values are not finite"),
        (np.zeros((3, 3), np.float32), "its tensors are not the student's by name and shape"),
    ],
    ids=["unmoved", "teacher", "not-finite", "other-shape"],
)
def test_student_that_learnt_nothing_is_an_output_error(
    tmp_path: Path,
    apr_bytes: _Build,
    left: np.ndarray,  # type: ignore[type-arg]
    words: str,
) -> None:
    """Whatever the program said."""
    with pytest.raises(EngineOutputError, match=words):
        _verify(tmp_path, apr_bytes, left)
