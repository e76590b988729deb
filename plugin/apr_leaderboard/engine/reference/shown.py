"""Whether what a job left shows that the job was done, told from the files alone and not from what the program said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from apr_leaderboard.engine.dataset import read_rows
from apr_leaderboard.engine.jobs import (
    Checkpoint,
    ExportJob,
    ImportJob,
    Job,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.reference.gguf_file import GgufFile
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.errors import EngineOutputError, FileFormatError

__all__ = ["verify_shown"]

_HALF_OFF: Final = 1e-3
_RATIO_OFF: Final = 0.02
_BLOCK: Final = 32
_PLAIN: Final = ("F32", "F16", "BF16")


def verify_shown(job: Job, left: Path, engine: str, command: Sequence[str]) -> None:
    """Hold what a job left at `left` against what it started from. docs/stages.md lists the properties.

    Raises EngineOutputError for a checkpoint that does not show them. Merges and programs are checked where they are
    made, by those who have all of their inputs at hand; what training must show is in `verify_training`.
    """
    try:
        problem = _problem(job, left)
    except FileFormatError as error:  # what was given could be read: the job was done
        raise EngineOutputError(engine, str(error), command=command) from None
    if problem:
        raise EngineOutputError(engine, f"{left.name}: {problem}", command=command)


def _problem(job: Job, left: Path) -> str:
    match job:
        case ImportJob():
            return _changed(job.source, left, half=job.params.quantization == "fp16")
        case ExportJob(format="hf"):
            return _changed(job.model, left, half=False)
        case PruneJob():
            return _unpruned(job, left)
        case QuantizeJob():
            return _unpacked(job, left)
        case PrepDataJob():
            return _foreign(job, left)
        case _:
            return ""


def _changed(source: Checkpoint, after: Path, *, half: bool) -> str:
    if source.format != "hf":
        return ""  # names and rows are laid out anew there; shapes and finite values were checked
    one, other = HfFolder(source.path), HfFolder(after)
    for name in other.specs:
        if name not in one.specs:
            return f"tensor {name} is not the source's"
        was, now = one.read(name), other.read(name)
        allowed = _HALF_OFF * float(np.abs(was).max(initial=0.0)) if half else 0.0
        if was.shape != now.shape or float(np.abs(was - now).max(initial=0.0)) > allowed:
            return f"tensor {name} is not the source's"
    return ""


def _unpruned(job: PruneJob, after: Path) -> str:
    folder, params = HfFolder(after), job.params
    if params.method in ("structured", "depth"):
        n, was = (sum(spec.n_values for spec in one.specs.values()) for one in (folder, HfFolder(job.model.path)))
        return "" if n < was else f"{params.method} took nothing out: {n} weights as before"
    zeros = total = 0
    for name, spec in folder.specs.items():
        if len(spec.shape) == 2 and ".layers." in name:
            zeros += spec.n_values - int(np.count_nonzero(folder.read(name)))
            total += spec.n_values
    share = zeros / total
    return "" if share > params.target_ratio - _RATIO_OFF else f"{share:.3f} are zero, not {params.target_ratio:g}"


def _unpacked(job: QuantizeJob, left: Path) -> str:
    if job.params.scheme == "fp16":
        wide = [name for name, spec in HfFolder(left).specs.items() if spec.dtype != "F16"]
        return f"tensor {wide[0]} is no float16" if wide else ""
    file = GgufFile(left)
    plain = [
        name
        for name, info in file.tensors.items()
        if name.startswith("blk.") and len(info.shape) == 2 and info.shape[1] % _BLOCK == 0 and info.kind.name in _PLAIN
    ]
    return f"{len(plain)} matrices are stored as plain floats, such as {plain[0]}" if plain else ""


def _foreign(job: PrepDataJob, left: Path) -> str:
    before = Counter(row.line for row in read_rows(job.data))
    aside = left.with_name("held-out.jsonl")
    after = Counter(row.line for path in (left, aside) if path.exists() for row in read_rows(path))
    new = after - before
    return f"{sum(new.values())} rows are not among those it was given" if new else ""
