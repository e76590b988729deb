"""Hold a training to account by what it left: it changed the model, and its adapter says something."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.errors import EngineOutputError, FileFormatError

__all__ = ["verify_training"]


def verify_training(base: Path, trained: Path, engine: str, command: Sequence[str]) -> None:
    """`trained` differs from `base` in at least one tensor; an adapter beside it is finite and not all zero.

    Raises EngineOutputError naming what is wrong. That the trained tensors are there and finite is verify_checkpoint's.
    """
    try:
        before, after = HfFolder(base), HfFolder(trained)
        if all(np.array_equal(before.read(name), after.read(name)) for name in before.specs):
            raise FileFormatError(trained, "", "training changed nothing: every weight is the base model's")
        _check_adapter(trained.parent / "adapter")
    except FileFormatError as error:
        raise EngineOutputError(engine, str(error), command=command) from None


def _check_adapter(folder: Path) -> None:
    file = folder / "adapter_model.safetensors"
    if not folder.exists():
        return
    tensors = load_file(file)
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise FileFormatError(file, name, f"{int((~np.isfinite(array)).sum())} values are not finite")
    if not any(array.any() for name, array in tensors.items() if "lora_B" in name):
        raise FileFormatError(file, "lora_B", "every B matrix is zero: the adapter changes nothing")
