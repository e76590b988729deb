"""Which adapter wgpu finds here, and a device on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from apr_leaderboard.errors import AdapterMissingError

__all__ = ["Adapter", "open_adapter"]

_KINDS: Final = ("DiscreteGPU", "IntegratedGPU", "VirtualGPU", "CPU")
"""GPUAdapterInfo's `adapter_type` of wgpu-native, the one to compute on first; what else there is comes last."""
_LATE_API: Final = "OpenGL"
"""One card may be there by two interfaces; by this one it does less."""
_LIMITS: Final = ("max-storage-buffer-binding-size", "max-buffer-size")
"""WebGPU gives 128 and 256 MiB unless a device is asked for with more."""


@dataclass(frozen=True)
class Adapter:
    """An adapter by what it says of itself, and an open device on it.

    `kind` is one of wgpu's: DiscreteGPU, IntegratedGPU, VirtualGPU, CPU (in software) or Unknown. `wgpu` is the
    version of the library that found it.
    """

    name: str
    api: str
    kind: str
    driver: str
    wgpu: str
    device: Any = field(repr=False, compare=False)
    limits: Mapping[str, int] = field(repr=False, compare=False)

    def told(self) -> dict[str, str]:
        """What tells this adapter from another."""
        return {"name": self.name, "api": self.api, "kind": self.kind, "driver": self.driver, "wgpu": self.wgpu}


@cache
def open_adapter() -> Adapter:
    """The adapter that promises most, opened: a card before software, Vulkan, Metal or D3D12 before OpenGL.

    Raises `AdapterMissingError` where wgpu is not installed, finds no adapter, or cannot open the one it finds.
    """
    try:
        import wgpu
    except ImportError:
        raise AdapterMissingError("wgpu is not installed; pip install 'apr-leaderboard[wgpu]'") from None
    try:
        found = wgpu.gpu.enumerate_adapters_sync()
    except (RuntimeError, OSError) as error:
        raise AdapterMissingError(f"wgpu {wgpu.__version__} cannot look: {_line(error)}") from None
    if not found:
        raise AdapterMissingError(
            f"wgpu {wgpu.__version__} finds none; it takes a graphics card's driver, or a software adapter (lavapipe)"
        )
    chosen = min(found, key=lambda one: _rank(one.info))
    info = chosen.info
    limits = {name: int(chosen.limits[name]) for name in _LIMITS}
    name = str(info.get("device") or info.get("description") or "unknown")
    try:
        device = chosen.request_device_sync(required_limits=limits)
    except (RuntimeError, OSError) as error:
        raise AdapterMissingError(f"{name} cannot be opened: {_line(error)}") from None
    return Adapter(
        name=name,
        api=str(info.get("backend_type", "unknown")),
        kind=str(info.get("adapter_type", "Unknown")),
        driver=str(info.get("description", "")),
        wgpu=str(wgpu.__version__),
        device=device,
        limits=limits,
    )


def _rank(info: Mapping[str, Any]) -> tuple[int, bool]:
    kind = info.get("adapter_type")
    return (_KINDS.index(kind) if kind in _KINDS else len(_KINDS), info.get("backend_type") == _LATE_API)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
