"""What hardware is here, which of it an engine can use, and on which of it it really ran."""

from __future__ import annotations

import ctypes.util
import os
from pathlib import Path
from typing import Final, NamedTuple

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import BenchJob, FinetuneJob, OnBackend, on_backend
from apr_leaderboard.engine.apr.devices import devices_command, list_devices
from apr_leaderboard.errors import AdapterMissingError
from apr_leaderboard.model.record import Finding
from apr_leaderboard.proof import NotHere

__all__ = [
    "Used",
    "backend_used",
    "need_no_vendor_libraries",
    "need_wgpu",
    "program_of",
    "vulkan_adapters",
    "wgpu_used",
]

_VULKAN: Final = ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d")
_DRIVERS: Final = ("VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES", "VK_ICD_FILENAMES")
"""Where the Vulkan loader reads more drivers from (LoaderDriverInterface.md; the last is the older name)."""
_VENDOR: Final = ("cuda", "cudart", "cublas", "amdhip64")
_COMPUTING: Final = (BenchJob.op, FinetuneJob.op)
"""What shows that answering and training ran where they should: of an answered benchmark no figures are kept."""


def vulkan_adapters() -> list[str]:
    """The Vulkan drivers installed here, hardware or software, and those that the environment names."""
    installed = [str(file) for folder in _VULKAN if Path(folder).is_dir() for file in Path(folder).glob("*.json")]
    named = [file for name in _DRIVERS for file in os.environ.get(name, "").split(os.pathsep) if file]
    return sorted({*installed, *(file for file in named if Path(file).exists())})


def need_wgpu(trial: Trial) -> OnBackend | None:
    """Have the trial's engine compute on wgpu from here on, and tell the adapter.

    Raises `NotHere` where the engine has no wgpu path, or has one and finds no adapter to its liking, in its words. A
    saboteur that stands in for what is not here needs neither: then None, and nothing is changed. Raises
    `EngineOutputError` for a program that does not list its devices.
    """
    engine, drivers = trial.sound_engine, ", ".join(vulkan_adapters()) or "none"
    trial.tell("Vulkan drivers", drivers)
    lacking = f"needs an engine with a wgpu backend: {engine.name} {engine.identity().version} has none"
    try:
        found = on_backend(engine, "wgpu")
    except AdapterMissingError as missing:
        _keep(trial, missing.command)
        found, lacking = None, f"{missing} (Vulkan drivers here: {drivers})"
    if found is None:
        if _stands_in(trial):
            return None
        raise NotHere(lacking)
    _keep(trial, found.command)
    trial.tell("wgpu adapter of the engine", found.adapter)
    trial.work_with(found.engine)
    return found


def need_no_vendor_libraries(trial: Trial, found: OnBackend | None) -> None:
    """Raise `NotHere` where a program could load CUDA or ROCm: then nothing shows that it goes without.

    An engine whose processes tell what they have loaded needs no such machine, nor does a saboteur that stands in for
    what is not here.
    """
    if _stands_in(trial) or (found is not None and found.shows_libraries):
        return
    libraries = [name for name in map(ctypes.util.find_library, _VENDOR) if name]
    trial.tell("vendor's libraries", ", ".join(libraries) or "none")
    if libraries:
        raise NotHere(
            f"needs a machine or a container without the vendor's libraries: {', '.join(libraries)} can be loaded"
        )


class Used(NamedTuple):
    """What trained and answered. `idle`: of these jobs, those that tell of no dispatch on the adapter.

    `libraries`: the vendors' compute libraries that any of their processes had loaded; None where they do not tell.
    """

    backend: str
    given_up: int
    idle: tuple[str, ...] = ()
    libraries: tuple[str, ...] | None = None


def wgpu_used(trial: Trial, found: OnBackend | None) -> Used:
    """What the jobs noted so far, and a measurement of the speed, really ran on."""
    backend, given_up = backend_used(trial)
    if found is None or not found.shows_libraries:
        return Used(backend, given_up)
    figures = {one.op: one.figures for one in trial.records if one.op in _COMPUTING}
    for op, told in sorted(figures.items()):
        trial.tell(f"dispatches of {op}", told.get("dispatches", "not told"))
    idle = tuple(op for op in _COMPUTING if not figures.get(op, {}).get("dispatches", 0))
    loaded = {str(told.get("vendor_libraries", "unknown")) for told in figures.values()} - {"none"}
    return Used(backend, given_up, idle, tuple(sorted(loaded)))


def backend_used(trial: Trial) -> tuple[str, int]:
    """The backend that the engine's own `bench` really ran on, and how many findings tell of a GPU given up so far.

    The speed is told; an engine that measures none tells none. A GPU that it would run on and did not is a finding,
    whether or not the engine said so.
    """
    if BenchJob.op not in trial.sound_engine.capabilities():
        trial.tell("tokens a second", "not measured")
        return "unknown", _given_up(trial)
    made = trial.make(lambda models: BenchJob(models[0]), {}, [trial.model()])
    figures = {} if made.record is None else made.record.figures
    backend, wanted = str(figures.get("backend", "unknown")), _device_asked(trial)
    trial.tell("tokens a second", figures.get("tokens_per_second", "unknown"))
    if backend.endswith("cpu") and wanted != "cpu" and not _given_up(trial):
        command = "" if made.record is None else " ".join(made.record.command)
        message = f"{wanted} is what it would run on, and it ran on {backend}"
        trial.findings.append(Finding(code="cpu-fallback", message=message, command=command))
    return backend, _given_up(trial)


def program_of(trial: Trial) -> Path | None:
    """The program behind the engine asked; None where the engine is none of its own."""
    program = getattr(trial.sound_engine, "binary", None)
    return program if isinstance(program, Path) else None


def _given_up(trial: Trial) -> int:
    return sum(one.code == "cpu-fallback" for one in trial.findings)


def _device_asked(trial: Trial) -> str:
    """What the engine would run on: the device that a program selects by itself; else what it, or JAX, is told."""
    program = program_of(trial)
    if program is not None:
        _keep(trial, devices_command(program))
        return list_devices(program).selected
    told = str(getattr(trial.sound_engine, "backend", "cpu"))
    return told if told != "cpu" else os.environ.get("JAX_PLATFORMS", "").partition(",")[0] or "cpu"


def _stands_in(trial: Trial) -> bool:
    return trial.saboteur is not None and trial.saboteur.stands_in


def _keep(trial: Trial, command: tuple[str, ...]) -> None:
    line = " ".join(command)
    if line and line not in trial.commands:
        trial.commands.append(line)
