"""The program's own list of devices, and being told to train on one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apr_leaderboard.engine import Checkpoint, FinetuneJob, on_backend
from apr_leaderboard.engine.apr import AprEngine
from apr_leaderboard.errors import AdapterMissingError, RequestError
from apr_leaderboard.model.stage import FinetuneParams


def program(folder: Path, state: str = "ready") -> Path:
    """An `apr` with one wgpu adapter in that state."""
    entry = {"kind": "wgpu", "device_name": "card", "status": {"state": state}, "source": {"kind": "compiled-in"}}
    document = {"entries": [entry], "selected": {"kind": "wgpu"}}
    (folder / "devices.json").write_text(json.dumps(document), encoding="utf-8")
    file = folder / "apr"
    text = f'#!/bin/sh\n[ "$1" = devices ] && exec cat {folder}/devices.json\necho "apr 1.2.3"\n'
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return file


def finetune_line(engine: AprEngine, folder: Path) -> str:
    """The shell line of a training."""
    job = FinetuneJob(Checkpoint(folder / "m.apr", "apr"), folder / "d.jsonl", FinetuneParams(dataset="d"))
    return engine.command(job, folder)[2]


def test_backend_that_is_not_asked_for_is_not_written(tmp_path: Path) -> None:
    """The program chooses; its list is not even asked for."""
    engine = AprEngine(program(tmp_path, "unavailable"))
    assert "--gpu-backend" not in finetune_line(engine, tmp_path)


def test_backend_by_the_variable_is_passed_to_finetune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And makes another build of the engine, since its results are others."""
    plain = AprEngine(program(tmp_path)).identity()
    monkeypatch.setenv("APR_GPU_BACKEND", "wgpu")
    engine = AprEngine(program(tmp_path))
    assert finetune_line(engine, tmp_path).count("--gpu-backend wgpu") == 1
    assert engine.identity().version == plain.version
    assert engine.identity().build != plain.build


def test_backend_that_is_not_ready_is_refused_in_the_programs_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would say that it trains there, and train on the CPU."""
    monkeypatch.setenv("APR_GPU_BACKEND", "wgpu")
    with pytest.raises(AdapterMissingError, match=r"^no wgpu adapter: apr declines card; `devices` says declined$"):
        AprEngine(program(tmp_path, "declined"))
    monkeypatch.setenv("APR_GPU_BACKEND", "cuda")
    with pytest.raises(AdapterMissingError, match=r"^no cuda adapter: .*; `devices` says nothing of cuda$"):
        AprEngine(program(tmp_path))


def test_backend_of_another_name_is_refused_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With those there are."""
    monkeypatch.setenv("APR_GPU_BACKEND", "metal")
    with pytest.raises(RequestError, match=r"^APR_GPU_BACKEND: got 'metal'; accepted: auto, cuda, wgpu$"):
        AprEngine(program(tmp_path))


def test_engine_on_a_backend_names_the_device_and_what_listed_it(tmp_path: Path) -> None:
    """As every engine that can choose."""
    file = program(tmp_path)
    found = on_backend(AprEngine(file), "wgpu")
    assert found is not None
    assert (found.adapter, found.command) == ("card", (str(file), "devices", "--json"))
    assert not found.shows_libraries
