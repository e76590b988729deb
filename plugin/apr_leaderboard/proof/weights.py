"""What stands in a checkpoint, read by this side: names, shapes and values, whichever engine wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.jobs import Checkpoint
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof.nothere import NotHere

__all__ = ["Tensors", "read_tensors", "shapes_of"]

Tensors = dict[str, NDArray[np.float32]]


def read_tensors(checkpoint: Checkpoint | None) -> Tensors:
    """Every tensor as float32, by the name it has in the file; for small models.

    Raises `HarnessError` without a checkpoint, `NotHere` for a tensor of a dtype that this side does not read.
    """
    if checkpoint is None:
        raise HarnessError("the job left no checkpoint to read")
    if checkpoint.format == "hf":
        from apr_leaderboard.engine.reference.tensors import HfFolder

        folder = HfFolder(checkpoint.path)
        return {name: folder.read(name) for name in folder.specs}
    if checkpoint.format == "apr":
        return _apr_tensors(checkpoint.path)
    from apr_leaderboard.engine.reference.gguf_file import GgufFile

    file: Any = GgufFile(checkpoint.path)
    return {name: file.read(name) for name in file.tensors}


def shapes_of(checkpoint: Checkpoint | None) -> dict[str, tuple[int, ...]]:
    """Name: shape. Raises as `read_tensors`."""
    return {name: tuple(values.shape) for name, values in read_tensors(checkpoint).items()}


def _apr_tensors(path: Path) -> Tensors:
    from apr_leaderboard.engine.apr.apr_format import read_apr, tensor_values

    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic != b"APR\0":  # some operations of the program write SafeTensors under this name
        from safetensors.numpy import load_file

        return {name: values.astype(np.float32) for name, values in load_file(path).items()}
    file, found = read_apr(path), {}
    for name, entry in file.tensors.items():
        values = tensor_values(file, name)
        if values is None:
            raise NotHere(
                f"needs the values of {name}, which is {entry.dtype}: in .apr files plain floats alone are read"
            )
        found[name] = values
    return found
