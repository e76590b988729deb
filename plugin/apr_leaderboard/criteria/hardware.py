"""What hardware is here, which of it an engine can use, and on which of it it really ran."""

from __future__ import annotations

import ctypes.util
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import BenchJob, Command, run_command
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import Finding
from apr_leaderboard.proof import NotHere

__all__ = ["backend_used", "need_no_vendor_libraries", "need_wgpu", "vulkan_adapters"]

_VULKAN: Final = ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d")
_DRIVERS: Final = ("VK_DRIVER_FILES", "VK_ADD_DRIVER_FILES", "VK_ICD_FILENAMES")
"""Where the Vulkan loader reads more drivers from (LoaderDriverInterface.md; the last is the older name)."""
_VENDOR: Final = ("cuda", "cudart", "cublas", "amdhip64")
_SECONDS: Final = 60.0


def vulkan_adapters() -> list[str]:
    """The Vulkan drivers installed here, hardware or software, and those that the environment names."""
    installed = [str(file) for folder in _VULKAN if Path(folder).is_dir() for file in Path(folder).glob("*.json")]
    named = [file for name in _DRIVERS for file in os.environ.get(name, "").split(os.pathsep) if file]
    return sorted({*installed, *(file for file in named if Path(file).exists())})


def need_wgpu(trial: Trial) -> None:
    """Raise `NotHere` where the engine has no wgpu path, or has one and finds no adapter to its liking, in its words.

    A saboteur that stands in for what is not here needs neither. Raises `EngineOutputError` for a program that does not
    list its devices.
    """
    if trial.saboteur is not None and trial.saboteur.stands_in:
        return
    engine, drivers = trial.sound_engine, ", ".join(vulkan_adapters()) or "none"
    trial.tell("Vulkan drivers", drivers)
    program = _program(trial)
    if program is None:
        raise NotHere(f"needs an engine with a wgpu backend: {engine.name} {engine.identity().version} has none")
    listed = [one for one in _devices(trial, program)["entries"] if one["kind"] == "wgpu"]
    ready = [str(one.get("device_name")) for one in listed if _state(one)[0] == "ready"]
    trial.tell("wgpu adapters of the engine", ", ".join(ready) or "none")
    if ready:
        return
    words = "; ".join(sorted({" ".join(_state(one)) for one in listed})) or "nothing of wgpu"
    if not listed or all((one.get("source") or {}).get("kind") == "not-compiled" for one in listed):
        raise NotHere(f"needs a build of {engine.name} with its wgpu backend: `devices` says {words}")
    there = [str(one["device_name"]) for one in listed if one.get("device_name")]
    what = f"declines {', '.join(there)}" if there else f"finds no adapter (Vulkan drivers here: {drivers})"
    raise NotHere(f"needs a GPU for wgpu: {engine.name} has the backend and {what}; `devices` says {words}")


def need_no_vendor_libraries(trial: Trial) -> None:
    """Raise `NotHere` where a program could load CUDA or ROCm: then nothing shows that it goes without.

    A saboteur that stands in for what is not here needs no such machine.
    """
    if trial.saboteur is not None and trial.saboteur.stands_in:
        return
    found = [name for name in map(ctypes.util.find_library, _VENDOR) if name]
    trial.tell("vendor's libraries", ", ".join(found) or "none")
    if found:
        raise NotHere(
            f"needs a machine or a container without the vendor's libraries: {', '.join(found)} can be loaded"
        )


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


def _given_up(trial: Trial) -> int:
    return sum(one.code == "cpu-fallback" for one in trial.findings)


def _program(trial: Trial) -> Path | None:
    program = getattr(trial.sound_engine, "binary", None)
    return program if isinstance(program, Path) else None


def _devices(trial: Trial, program: Path) -> dict[str, Any]:
    """What the program lists: `entries`, and `selected`. Raises `EngineOutputError` where it does not."""
    argv, name = (str(program), "devices", "--json"), trial.sound_engine.name
    finished = run_command(Command(argv, timeout=_SECONDS, name=name))
    trial.commands.append(" ".join(argv))
    try:
        document = json.loads(finished.stdout_tail)
        return {"entries": [{"kind": "", **one} for one in document["entries"]], "selected": document["selected"]}
    except (ValueError, KeyError, TypeError) as error:
        message = f"its list of devices lacks or misstates {error}"
        raise EngineOutputError(name, message, command=argv, stderr=finished.stderr_tail) from error


def _device_asked(trial: Trial) -> str:
    """What the engine would run on: the device that a program selects by itself, else what JAX is told to take."""
    program = _program(trial)
    if program is None:
        return os.environ.get("JAX_PLATFORMS", "").partition(",")[0] or "cpu"
    return str((_devices(trial, program)["selected"] or {}).get("kind", "cpu"))


def _state(entry: Mapping[str, Any]) -> tuple[str, ...]:
    status = entry.get("status") or {}
    return tuple(str(status[key]) for key in ("state", "kind", "vendor", "reason", "detail") if status.get(key))
