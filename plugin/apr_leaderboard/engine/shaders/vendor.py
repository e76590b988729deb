"""The toolkits of the vendors (CUDA, ROCm): hidden from a process, and looked for in what it has loaded."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

__all__ = ["hide_vendor_devices", "vendor_libraries"]

_HIDDEN: Final = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "ROCR_VISIBLE_DEVICES": "-1"}
"""What CUDA and ROCm read to leave devices out; an index that no device has leaves all of them out."""
_LIBRARY: Final = re.compile(
    r"lib(?:cuda|cudart|cublas|cublasLt|cudnn\w*|cufft|cusolver|cusparse|nvrtc|nccl"
    r"|amdhip64|hsa-runtime64|hipblas\w*|rocblas|MIOpen)(?:[.-][\w.-]*)?\.so"
)
"""The compute toolkits. A card's Vulkan driver is the vendor's too, and is what wgpu is to run on."""


def hide_vendor_devices(environment: MutableMapping[str, str]) -> None:
    """Leave no device to the vendors' toolkits: to be called before anything of theirs could be loaded."""
    environment.update(_HIDDEN)


def vendor_libraries(maps: Path = Path("/proc/self/maps")) -> tuple[str, ...] | None:
    """File names of the vendors' compute libraries that a process has mapped (this one's own by default).

    None where the system does not tell (proc_pid_maps(5) is Linux's).
    """
    try:
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    files = {Path(line.split(maxsplit=5)[5]).name for line in lines if len(line.split(maxsplit=5)) == 6}
    return tuple(sorted(name for name in files if _LIBRARY.match(name)))
