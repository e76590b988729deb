"""What an engine can run on: reasons for not running that are true of that engine, and GPUs that were given up."""

from __future__ import annotations

import ctypes.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apr_leaderboard.criteria import Asked, Trial, saboteur_named
from apr_leaderboard.criteria.hardware import (
    Used,
    backend_used,
    need_no_vendor_libraries,
    need_wgpu,
    vulkan_adapters,
    wgpu_used,
)
from apr_leaderboard.engine import Checkpoint, FinetuneJob, OnBackend
from apr_leaderboard.engine.apr import AprEngine
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import EngineIdentity, Finding, StageRecord
from apr_leaderboard.model.stage import FinetuneParams
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.proof import NotHere
from apr_leaderboard.proof.lab import Made

_RECORDED = Path(__file__).with_name("recorded") / "devices-no-adapter.json"
_DECLINED = _RECORDED.with_name("devices-software-adapter.json")


class Bench(Trial):
    """A trial whose engine says of `bench` what it is told to say."""

    figures: Mapping[str, float | int | str | bool] = {}
    findings_of_bench: tuple[Finding, ...] = ()

    def model(self, seed: int = 1) -> Made:
        """None is needed."""
        del seed
        return Made(cast(Any, None), self.folder, Checkpoint(self.folder, "hf"))

    def make(self, job: object, params: object, models: object, data: Path | None = None) -> Made:
        """The record alone."""
        identity = EngineIdentity(name="x", version="1", build="0")
        record = StageRecord(
            op="bench",
            engine=identity,
            command=("x", "bench"),
            figures=dict(self.figures),
            findings=self.findings_of_bench,
        )
        self.findings += self.findings_of_bench
        return Made(cast(Any, None), self.folder, record=record)


def trial_of(folder: Path, devices: str | None, name: str = "apr") -> Bench:
    """A trial on an engine that is a program listing these devices; on one that is no program where there are none."""
    engine: Any = SimpleNamespace(
        name=name,
        identity=lambda: EngineIdentity(name=name, version="9.9+jax1", build="0"),
        capabilities=lambda: frozenset({"bench"}),
    )
    if devices is not None:
        (folder / "devices.json").write_text(devices, encoding="utf-8")
        program = folder / "program"
        program.write_text(f"#!/bin/sh\ncat {folder}/devices.json\n", encoding="utf-8")
        program.chmod(0o755)
        engine = AprEngine(program)
    workbench = SimpleNamespace(engine=lambda _: engine)
    return Bench(cast(Workbench, workbench), Asked("AC-028", "test_it", name, "smoke"), folder)


def devices_with(**wgpu: object) -> str:
    """The recorded list with another wgpu entry, and selected with it where it is ready."""
    document = json.loads(_RECORDED.read_text(encoding="utf-8"))
    (entry,) = (one for one in document["entries"] if one["kind"] == "wgpu")
    entry.update(wgpu)
    if entry["status"]["state"] == "ready":
        document["selected"] = {"kind": "wgpu"}
    return json.dumps(document)


@pytest.mark.parametrize("name", ["reference", "transformers", "llama_cpp"])
def test_wgpu_of_an_engine_without_that_backend_is_not_here_whatever_drivers_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Vulkan driver would change nothing, so it is not what is missing."""
    (tmp_path / "icd.json").write_text("{}")
    monkeypatch.setenv("VK_DRIVER_FILES", str(tmp_path / "icd.json"))
    with pytest.raises(NotHere, match=rf"needs an engine with a wgpu backend: {name} 9.9\+jax1 has none"):
        need_wgpu(trial_of(tmp_path, None, name))


def test_wgpu_of_a_program_without_an_adapter_names_the_adapter_in_the_programs_words(tmp_path: Path) -> None:
    """As recorded of apr 0.72.3: it has the backend and finds no device."""
    trial = trial_of(tmp_path, _RECORDED.read_text(encoding="utf-8"))
    words = r"no wgpu adapter: apr finds none; `devices` says unavailable no-device \(Vulkan drivers here: .*\)$"
    with pytest.raises(NotHere, match=words):
        need_wgpu(trial)
    assert trial.commands == [f"{tmp_path}/program devices --json"]


def test_wgpu_of_a_program_that_declines_a_software_adapter_says_so_in_its_words(tmp_path: Path) -> None:
    """As recorded of apr 0.72.3 with Mesa's lavapipe: to it, that is no GPU."""
    trial = trial_of(tmp_path, _DECLINED.read_text(encoding="utf-8"))
    with pytest.raises(NotHere, match=r"declines llvmpipe \(LLVM.*\); `devices` says .*is not a GPU"):
        need_wgpu(trial)


def test_wgpu_of_a_program_built_without_it_names_the_build(tmp_path: Path) -> None:
    """No adapter would help."""
    status = {"state": "unavailable", "kind": "not-compiled"}
    with pytest.raises(NotHere, match=r"no wgpu adapter: this build of apr is without wgpu; .*not-compiled"):
        need_wgpu(trial_of(tmp_path, devices_with(source={"kind": "not-compiled"}, status=status)))


def test_wgpu_of_a_program_that_has_an_adapter_is_what_it_is_told_to_train_on(tmp_path: Path) -> None:
    """The adapter is told by name, and the trial goes on with the program under another identity."""
    trial = trial_of(tmp_path, devices_with(device_name="llvmpipe", status={"state": "ready"}))
    before = trial.sound_engine.identity()
    found = need_wgpu(trial)
    assert trial.measures[-1].value == "llvmpipe"
    assert found is not None
    assert trial.sound_engine is found.engine
    job = FinetuneJob(Checkpoint(tmp_path, "apr"), tmp_path / "d.jsonl", FinetuneParams(dataset="d"))
    assert "--gpu-backend wgpu" in trial.sound_engine.command(job, tmp_path)[2]
    assert (trial.sound_engine.identity().version, trial.sound_engine.identity().build) != (
        before.version,
        before.build,
    )
    assert trial.sound_engine.identity().version == before.version


def test_wgpu_that_a_saboteur_stands_in_for_need_not_be_here(tmp_path: Path) -> None:
    """What it breaks does not depend on where it is broken: the engine stays as it is."""
    trial = trial_of(tmp_path, _RECORDED.read_text(encoding="utf-8"))
    trial.saboteur = saboteur_named("wgpu-is-the-cpu")
    engine = trial.sound_engine
    assert need_wgpu(trial) is None
    assert trial.sound_engine is engine


def test_wgpu_in_a_saboteurs_hands_is_taken_where_it_is_here(tmp_path: Path) -> None:
    """Then it is the real path that is broken."""
    trial = trial_of(tmp_path, devices_with(device_name="llvmpipe", status={"state": "ready"}))
    trial.saboteur = saboteur_named("wgpu-unlearns")
    found = need_wgpu(trial)
    assert found is not None
    assert trial.sound_engine is found.engine
    assert trial.engine.identity() != found.engine.identity()


def record_of(op: str, **figures: float | int | str | bool) -> StageRecord:
    """A job's record with these figures."""
    return StageRecord(op=op, engine=EngineIdentity(name="x", version="1", build="0"), command=(op,), figures=figures)


def test_use_of_wgpu_names_jobs_without_a_dispatch_and_libraries_they_loaded(tmp_path: Path) -> None:
    """Of the jobs that compute; a job that tells nothing is one without."""
    trial = trial_of(tmp_path, None, "reference")
    trial.figures = {"tokens_per_second": 7.0, "backend": "wgpu Vulkan"}
    found = OnBackend(trial.sound_engine, "card", shows_libraries=True)
    trial.records.append(record_of("import", dispatches=0, vendor_libraries="none"))
    trial.records.append(record_of("finetune", dispatches=3, vendor_libraries="libcuda.so.1"))
    assert wgpu_used(trial, found) == Used("wgpu Vulkan", 0, ("bench",), ("libcuda.so.1",))
    trial.records.append(record_of("bench", dispatches=2, vendor_libraries="none"))
    assert wgpu_used(trial, found).idle == ()


def test_use_of_wgpu_by_a_program_is_what_its_own_measurement_says(tmp_path: Path) -> None:
    """It counts no dispatches, and tells of no libraries."""
    trial = trial_of(tmp_path, devices_with(device_name="llvmpipe", status={"state": "ready"}))
    trial.figures = {"tokens_per_second": 7.0, "backend": "wgpu"}
    assert wgpu_used(trial, OnBackend(trial.sound_engine, "llvmpipe")) == Used("wgpu", 0)


@pytest.mark.parametrize("devices", ["", "[]", '{"entries": []}', '{"entries": [7], "selected": {}}'])
def test_wgpu_of_a_program_that_lists_no_devices_is_the_programs_failure(devices: str, tmp_path: Path) -> None:
    """Not a missing adapter: what it says cannot be read."""
    with pytest.raises(EngineOutputError, match="its list of devices lacks or misstates"):
        need_wgpu(trial_of(tmp_path, devices))


def test_vulkan_drivers_that_the_environment_names_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there."""
    (tmp_path / "lvp.json").write_text("{}")
    monkeypatch.setenv("VK_ICD_FILENAMES", f"{tmp_path}/lvp.json:{tmp_path}/none.json")
    found = vulkan_adapters()
    assert (f"{tmp_path}/lvp.json" in found, f"{tmp_path}/none.json" in found) == (True, False)


def test_vendor_libraries_that_can_be_loaded_leave_nothing_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named; where there is none, nothing is raised."""
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: "libcuda.so.1" if name == "cuda" else None)
    with pytest.raises(NotHere, match=r"libcuda\.so\.1 can be loaded"):
        need_no_vendor_libraries(trial_of(tmp_path, None), None)
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: None)
    need_no_vendor_libraries(trial_of(tmp_path, None), None)


def test_vendor_libraries_matter_not_to_an_engine_that_shows_what_it_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its processes are looked at, whatever the machine has."""
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: "libcuda.so.1")
    trial = trial_of(tmp_path, None)
    need_no_vendor_libraries(trial, OnBackend(trial.sound_engine, "card", shows_libraries=True))
    with pytest.raises(NotHere):
        need_no_vendor_libraries(trial, OnBackend(trial.sound_engine, "card", shows_libraries=False))


def test_backend_of_a_program_that_chose_its_gpu_and_ran_on_the_cpu_is_a_finding(tmp_path: Path) -> None:
    """Even where the program says nothing of it."""
    trial = trial_of(tmp_path, devices_with(device_name="llvmpipe", status={"state": "ready"}))
    trial.figures = {"tokens_per_second": 7.0, "backend": "cpu"}
    assert backend_used(trial) == ("cpu", 1)
    assert [(one.code, one.command) for one in trial.findings] == [("cpu-fallback", "x bench")]
    assert "wgpu is what it would run on" in trial.findings[0].message


def test_backend_of_a_program_that_says_it_fell_back_is_counted_once(tmp_path: Path) -> None:
    """Its own words are the finding."""
    trial = trial_of(tmp_path, devices_with(device_name="llvmpipe", status={"state": "ready"}))
    trial.figures = {"tokens_per_second": 7.0, "backend": "cpu"}
    trial.findings_of_bench = (Finding(code="cpu-fallback", message="GPU init failed, falling back to CPU"),)
    assert backend_used(trial) == ("cpu", 1)


def test_backend_of_a_program_on_a_machine_without_a_gpu_is_no_finding(tmp_path: Path) -> None:
    """The speed is told with it."""
    trial = trial_of(tmp_path, _RECORDED.read_text(encoding="utf-8"))
    trial.figures = {"tokens_per_second": 7.0, "backend": "cpu"}
    assert backend_used(trial) == ("cpu", 0)
    assert [(one.name, one.value) for one in trial.measures] == [("tokens a second", 7.0)]


@pytest.mark.parametrize(("asked", "count"), [("cuda,cpu", 1), ("cpu", 0), ("", 0)])
def test_backend_of_jax_that_was_told_to_take_a_gpu_and_did_not_is_a_finding(
    asked: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX goes on with the next platform of its list."""
    monkeypatch.setenv("JAX_PLATFORMS", asked)
    trial = trial_of(tmp_path, None, "reference")
    trial.figures = {"tokens_per_second": 7.0, "backend": "jax 0.9 cpu"}
    assert backend_used(trial) == ("jax 0.9 cpu", count)
