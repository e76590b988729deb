"""Changing the weights in a checkpoint that an engine has left, in place and of the same size."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof import NotHere

__all__ = ["Change", "change_weights", "drop_tensor"]

_DTYPES: dict[Any, Any] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}

Change = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]


def change_weights(path: Path, change: Change) -> None:
    """Write `change(name, values)` over every float tensor of a SafeTensors file, or of a Hugging Face folder.

    Raises `NotHere` for any other file: the saboteurs are for the reference engine's.
    """
    file = _weights_file(path)
    header, start = _header(file)
    with file.open("r+b") as stream:
        for name, entry in header.items():
            if name == "__metadata__" or entry["dtype"] not in _DTYPES:
                continue
            begin, end = entry["data_offsets"]
            stream.seek(start + begin)
            values = np.frombuffer(stream.read(end - begin), _DTYPES[entry["dtype"]]).reshape(entry["shape"])
            changed = np.asarray(change(name, values.astype(np.float32)), _DTYPES[entry["dtype"]])
            stream.seek(start + begin)
            stream.write(changed.tobytes())


def drop_tensor(path: Path, name: str) -> None:
    """Call a tensor something else, so that nobody finds it under its own name."""
    file = _weights_file(path)
    header, _ = _header(file)
    if name not in header:
        raise HarnessError(f"{file}: has no {name} to drop")
    raw = file.read_bytes()
    file.write_bytes(raw.replace(f'"{name}"'.encode(), f'"{"x" * len(name)}"'.encode(), 1))


def _weights_file(path: Path) -> Path:
    file = path / "model.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise NotHere(f"needs weights in SafeTensors, which a saboteur can change: got {file.name}; try the reference")
    file.chmod(0o644)
    return file


def _header(file: Path) -> tuple[dict[str, dict[str, Any]], int]:
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > 1 << 26:
            raise NotHere(
                f"needs weights in SafeTensors, which a saboteur can change: got {file.name}; try the reference"
            )
        return json.loads(stream.read(length)), 8 + length
