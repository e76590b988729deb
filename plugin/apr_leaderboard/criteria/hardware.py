"""What hardware is here."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import BenchJob
from apr_leaderboard.proof import NotHere

__all__ = ["has_gpu", "need_wgpu", "vulkan_adapters"]

_VULKAN: Final = ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d", "/usr/local/share/vulkan/icd.d")


def has_gpu() -> bool:
    """Whether a GPU's device file or driver program is here."""
    return any(Path(name).exists() for name in ("/dev/nvidia0", "/dev/dri/renderD128", "/dev/kfd"))


def vulkan_adapters() -> list[str]:
    """The Vulkan drivers installed here, hardware or software."""
    return sorted(str(file) for folder in _VULKAN if Path(folder).is_dir() for file in Path(folder).glob("*.json"))


def need_wgpu(trial: Trial) -> None:
    """Raise `NotHere` where nothing could run a wgpu program."""
    found = vulkan_adapters()
    trial.tell("Vulkan drivers", ", ".join(found) or "none")
    trial.tell("vendor's driver program", shutil.which("nvidia-smi") or "none")
    if not found:
        raise NotHere("needs a GPU or a software Vulkan adapter: no Vulkan driver is installed here")
    made = trial.make(lambda models: BenchJob(models[0]), {}, [trial.model()])
    backend = str((made.record.figures if made.record else {}).get("backend", "an unknown backend"))
    trial.tell("backend that was used", backend)
    if "wgpu" not in backend.lower():
        raise NotHere(f"needs an engine that runs on wgpu: {trial.asked.engine} ran on {backend}")
