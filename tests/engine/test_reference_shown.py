"""Each stage's output must show that the stage was done: a copy of what it started from is not enough."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from weightops_tiny import make_nearby, make_tiny

from apr_leaderboard.engine.jobs import (
    Checkpoint,
    ExportJob,
    ImportJob,
    Job,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.reference.gguf_write import write_gguf
from apr_leaderboard.engine.reference.shown import verify_shown
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.stage import (
    ImportParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A model, and another near it."""
    root = tmp_path_factory.mktemp("shown")
    base = make_tiny(root / "base", num_hidden_layers=1)
    return base, make_nearby(base, root / "near", 1)


def _jobs(model: Path) -> dict[str, Job]:
    at = Checkpoint(model, "hf")
    return {
        "magnitude": PruneJob(at, None, PruneParams(target_ratio=0.2)),
        "depth": PruneJob(at, None, PruneParams(method="depth")),
        "fp16": QuantizeJob(at, QuantizeParams(scheme="fp16")),
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("magnitude", r"0\.0\d\d are zero, not 0.2"),
        ("depth", "depth took nothing out"),
        ("fp16", "is no float16"),
    ],
)
def test_shown_copy_of_the_input_is_an_output_error(models: tuple[Path, Path], name: str, message: str) -> None:
    """Whatever the program said."""
    with pytest.raises(EngineOutputError, match=message):
        verify_shown(_jobs(models[0])[name], models[0], "reference", ())


def test_shown_pruning_of_half_of_what_was_asked_is_an_output_error(models: tuple[Path, Path], tmp_path: Path) -> None:
    """Some zeros are not the zeros that were asked for."""
    at = Checkpoint(models[0], "hf")
    half = shutil.copytree(models[0], tmp_path / "half")
    tensors = load_file(half / "model.safetensors")
    for name, array in tensors.items():
        if ".layers." in name and array.ndim == 2:
            array.reshape(-1)[: array.size // 5] = 0
    save_file(tensors, half / "model.safetensors")
    verify_shown(PruneJob(at, None, PruneParams(target_ratio=0.2)), half, "reference", ())
    with pytest.raises(EngineOutputError, match=r"0\.2\d\d are zero, not 0\.4"):
        verify_shown(PruneJob(at, None, PruneParams(target_ratio=0.4)), half, "reference", ())


@pytest.mark.parametrize("kind", ["import", "export"])
def test_shown_import_and_export_keep_every_value(models: tuple[Path, Path], kind: str) -> None:
    """The same model passes, another one does not."""
    at = Checkpoint(models[0], "hf")
    job: Job = ImportJob(at, ImportParams()) if kind == "import" else ExportJob(at, "hf")
    verify_shown(job, models[0], "reference", ())
    with pytest.raises(EngineOutputError, match="is not the source's"):
        verify_shown(job, models[1], "reference", ())


def test_shown_quantised_file_of_plain_floats_is_an_output_error(models: tuple[Path, Path], tmp_path: Path) -> None:
    """The layout alone is no quantisation."""
    job = QuantizeJob(Checkpoint(models[0], "hf"), QuantizeParams(scheme="int8"))
    for scheme in ("f16", "int8"):
        write_gguf(HfFolder(models[0]), tmp_path / f"{scheme}.gguf", scheme, "{}", lambda done, n: None)
    verify_shown(job, tmp_path / "int8.gguf", "reference", ())
    with pytest.raises(EngineOutputError, match="7 matrices are stored as plain floats"):
        verify_shown(job, tmp_path / "f16.gguf", "reference", ())


def test_shown_rows_from_elsewhere_are_an_output_error(tmp_path: Path) -> None:
    """Cleaning invents nothing."""
    rows = [json.dumps({"instruction": f"number {i}", "response": "x"}) + "\n" for i in range(3)]
    (tmp_path / "in.jsonl").write_text("".join(rows[:2]), encoding="utf-8")
    job = PrepDataJob(tmp_path / "in.jsonl", (), PrepDataParams(dataset="x", steps=("audit",)))
    (tmp_path / "data.jsonl").write_text(rows[0], encoding="utf-8")
    verify_shown(job, tmp_path / "data.jsonl", "reference", ())
    shutil.copy(tmp_path / "data.jsonl", tmp_path / "held-out.jsonl")
    with pytest.raises(EngineOutputError, match="1 rows are not among those"):
        verify_shown(job, tmp_path / "data.jsonl", "reference", ())
    (tmp_path / "held-out.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(EngineOutputError, match=r"held-out\.jsonl.*not JSON"):
        verify_shown(job, tmp_path / "data.jsonl", "reference", ())


def test_shown_import_of_a_tensor_from_nowhere_is_an_output_error(models: tuple[Path, Path], tmp_path: Path) -> None:
    """What the source does not hold is the engine's invention, not the source's fault."""
    more = shutil.copytree(models[0], tmp_path / "more")
    tensors = load_file(more / "model.safetensors")
    save_file({**tensors, "spare.weight": np.ones((2, 2), np.float32)}, more / "model.safetensors")
    job = ImportJob(Checkpoint(models[0], "hf"), ImportParams())
    with pytest.raises(EngineOutputError, match=r"tensor spare\.weight is not the source's"):
        verify_shown(job, more, "reference", ())
