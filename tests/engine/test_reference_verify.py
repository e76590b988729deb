"""A checkpoint that the reference program left is opened, and every way it can be wrong is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from weightops_tiny import make_tiny

from apr_leaderboard.engine.reference.gguf_write import write_gguf
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.engine.reference.verify import verify_checkpoint
from apr_leaderboard.errors import EngineOutputError

_NORM = "model.norm.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One layer, float32."""
    return make_tiny(tmp_path_factory.mktemp("verified") / "model", num_hidden_layers=1, dtype="F32")


def _tensors(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def changed(folder: Path) -> None:
        file = folder / "model.safetensors"
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)

    return changed


def _torn(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_tensors(lambda it: it.update({_NORM: np.full(64, np.nan, np.float32)})), "64 values are not finite"),
        (_tensors(lambda it: it.update({_NORM: np.ones(63, np.float32)})), r"shape \(63,\); allowed: \(64,\)"),
        (_tensors(lambda it: it.pop(_NORM)), "tensor is missing"),
        (_torn, "not a SafeTensors file"),
        (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json: no such file"),
        (lambda folder: (folder / "config.json").write_text("{"), "not JSON"),
        (lambda folder: shutil.rmtree(folder), "not a folder"),
    ],
    ids=["not-finite", "misshapen", "missing", "torn", "no-tokenizer", "no-config", "nothing"],
)
def test_folder_that_is_no_model_is_an_output_error(
    model: Path, tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    """The engine's fault, not the request's."""
    folder = shutil.copytree(model, tmp_path / "model")
    verify_checkpoint(folder, "hf", "reference", ())
    change(folder)
    with pytest.raises(EngineOutputError, match=words):
        verify_checkpoint(folder, "hf", "reference", ())


def test_gguf_file_that_is_torn_or_not_finite_is_an_output_error(model: Path, tmp_path: Path) -> None:
    """Cut short, or with a NaN where a number was."""
    file = tmp_path / "m.gguf"
    write_gguf(HfFolder(model), file, "f32", "{}")
    verify_checkpoint(file, "gguf", "reference", ())
    whole = file.read_bytes()
    file.write_bytes(whole[:-64])
    with pytest.raises(EngineOutputError, match="not a whole GGUF file"):
        verify_checkpoint(file, "gguf", "reference", ())
    file.write_bytes(whole[:-64] + np.full(16, np.nan, "<f4").tobytes())
    with pytest.raises(EngineOutputError, match="values are not finite"):
        verify_checkpoint(file, "gguf", "reference", ())


@pytest.mark.parametrize(
    ("form", "content", "words"), [("jsonl", "[]", "got a list"), ("program", "echo", "not a program")]
)
def test_file_that_is_not_what_it_is_called_is_an_output_error(
    tmp_path: Path, form: Any, content: str, words: str
) -> None:
    """A dataset is rows, a program can be started."""
    (tmp_path / "left").write_text(content, encoding="utf-8")
    with pytest.raises(EngineOutputError, match=words):
        verify_checkpoint(tmp_path / "left", form, "reference", ())
    if form == "jsonl":
        (tmp_path / "left").write_text(json.dumps({"prompt": "x"}), encoding="utf-8")
        verify_checkpoint(tmp_path / "left", form, "reference", ())
