"""Open a checkpoint the reference program wrote: every tensor there, of its shape, and finite."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.dataset import read_rows
from apr_leaderboard.engine.reference.config import config_from_gguf, config_from_hf
from apr_leaderboard.engine.reference.gguf_file import GgufFile
from apr_leaderboard.engine.reference.layout import gguf_name, tensor_shapes
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.errors import EngineOutputError, FileFormatError
from apr_leaderboard.model.record import CheckpointFormat

__all__ = ["verify_checkpoint"]


def verify_checkpoint(path: Path, form: CheckpointFormat, engine: str, command: Sequence[str]) -> None:
    """Raises EngineOutputError naming what is wrong: the file, the tensor, the shape or the value."""
    try:
        if form == "jsonl":
            read_rows(path)
            return
        if form == "program":
            _check_program(path)
            return
        if form == "hf":
            folder = HfFolder(path)
            expected, read = dict(tensor_shapes(config_from_hf(path))), folder.read
            if not (path / "tokenizer.json").is_file():
                raise FileFormatError(path, "tokenizer.json", "no such file")
        else:
            file = GgufFile(path)
            config = config_from_gguf(file.metadata, frozenset(file.tensors), path)
            expected, read = {gguf_name(name): shape for name, shape in tensor_shapes(config)}, file.read
        _check_tensors(path, expected, read)
    except FileFormatError as error:
        raise EngineOutputError(engine, str(error), command=command) from None


def _check_program(path: Path) -> None:
    # What it answers is checked by the operation itself, which has the model at hand.
    if not os.access(path, os.X_OK) or not zipfile.is_zipfile(path):
        raise FileFormatError(path, "", "not a program", allowed="an executable Python archive")


def _check_tensors(
    path: Path, expected: dict[str, tuple[int, ...]], read: Callable[[str], NDArray[np.float32]]
) -> None:
    for name, shape in expected.items():
        array = read(name)
        if array.shape != shape:
            raise FileFormatError(path, name, f"shape {array.shape}", allowed=str(shape))
        if not np.isfinite(array).all():
            raise FileFormatError(path, name, f"{int((~np.isfinite(array)).sum())} values are not finite")
