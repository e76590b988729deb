"""An export is opened and held against the checkpoint it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apr_leaderboard.engine import Checkpoint, ExportJob
from apr_leaderboard.engine.apr.exports import verify_export
from apr_leaderboard.errors import EngineOutputError

_Build = Callable[..., bytes]
_Arrays = Mapping[str, np.ndarray[Any, Any]]
_EMBEDDING, _HEAD, _NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
_VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
_TIED = {_EMBEDDING: _VALUES, _HEAD: _VALUES, _NORM: np.ones(3, np.float32)}


def _base(tmp_path: Path, build: _Build, tensors: _Arrays, **metadata: object) -> Checkpoint:
    parts = {name: ("F32", value.shape, value.tobytes()) for name, value in tensors.items()}
    (tmp_path / "m.apr").write_bytes(build(parts, metadata))
    return Checkpoint(tmp_path / "m.apr", "apr")


def _exported(tmp_path: Path, tensors: _Arrays, config: object) -> Path:
    numpy_io = pytest.importorskip("safetensors.numpy")
    (tmp_path / "hf").mkdir()
    numpy_io.save_file(dict(tensors), str(tmp_path / "hf" / "model.safetensors"))
    (tmp_path / "hf" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return tmp_path / "hf" / "model.safetensors"


def _without(name: str, tensors: _Arrays) -> dict[str, np.ndarray[Any, Any]]:
    return {key: value for key, value in tensors.items() if key != name}


def test_verify_export_of_the_same_tensors_says_what_is_missing_beside_them(tmp_path: Path, apr_bytes: _Build) -> None:
    """Same tensors, same values, a tied head left out, the same shape: only the tokenizer is not there."""
    base = _base(tmp_path, apr_bytes, _TIED, hidden_size=3)
    target = _exported(tmp_path, _without(_HEAD, _TIED), {"hidden_size": 3})
    assert [finding.code for finding in verify_export(ExportJob(base, "hf"), target, ())] == ["tokenizer-dropped"]
    (target.parent / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert verify_export(ExportJob(base, "hf"), target, ()) == []


@pytest.mark.parametrize(
    ("had", "tensors", "config", "words"),
    [
        (_TIED, {**_TIED, _NORM: np.zeros(3, np.float32)}, {"hidden_size": 3}, f"tensor {_NORM} has other values"),
        (_TIED, _without(_NORM, _TIED), {"hidden_size": 3}, "lacks 1 tensors"),
        (_TIED, {**_TIED, "x": _VALUES}, {"hidden_size": 3}, r"tensor x \[2, 3\] is not its own"),
        (_TIED, _TIED, {"hidden_size": 4}, "of another model: hidden_size 4 where the checkpoint has 3"),
        ({**_TIED, _HEAD: _VALUES + 1}, _without(_HEAD, _TIED), {"hidden_size": 3}, r"lacks 1 tensors: \['lm_head"),
    ],
    ids=["other-values", "one-missing", "one-more", "other-shape", "head-of-its-own"],
)
def test_verify_export_of_another_model_is_an_output_error(
    tmp_path: Path, apr_bytes: _Build, had: _Arrays, tensors: _Arrays, config: object, words: str
) -> None:
    """What differs is named."""
    base = _base(tmp_path, apr_bytes, had, hidden_size=3)
    with pytest.raises(EngineOutputError, match=words):
        verify_export(ExportJob(base, "hf"), _exported(tmp_path, tensors, config), ())


@pytest.mark.parametrize(
    ("had", "names", "right"),
    [
        (_TIED, ["token_embd.weight", "output.weight", "output_norm.weight"], True),
        (_TIED, ["token_embd.weight", "output_norm.weight"], True),
        ({**_TIED, _HEAD: _VALUES + 1}, ["token_embd.weight", "output_norm.weight"], False),
        (_TIED, ["token_embd.weight"], False),
    ],
    ids=["whole", "tied-head-left-out", "own-head-left-out", "norm-lost"],
)
def test_verify_export_to_gguf_counts_every_tensor_s_values(
    tmp_path: Path,
    apr_bytes: _Build,
    gguf_file: Callable[[_Arrays], Checkpoint],
    had: _Arrays,
    names: list[str],
    right: bool,
) -> None:
    """Names are another layout's there, so the numbers of values are compared."""
    base = _base(tmp_path, apr_bytes, had)
    left = gguf_file({name: np.ones(3, np.float32) if "norm" in name else _VALUES for name in names})
    if right:
        assert verify_export(ExportJob(base, "gguf"), left.path, ()) == []
        return
    with pytest.raises(EngineOutputError, match="the export has"):
        verify_export(ExportJob(base, "gguf"), left.path, ())
