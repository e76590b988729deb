"""The GPU memory in use, watched while something runs."""

from __future__ import annotations

import subprocess
import threading
from types import TracebackType

__all__ = ["DeviceMemory"]


class DeviceMemory:
    """Asks `nvidia-smi` every `seconds`; `peak` and `before` are MiB in use on the whole device, None without one."""

    def __init__(self, seconds: float = 0.5) -> None:
        self.before = _in_use()
        self.peak = self.before
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> DeviceMemory:
        if self.before is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._seconds):
            self.peak = max(self.peak or 0, _in_use() or 0)


def _in_use() -> int | None:
    argv = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True).stdout
        return int(out.split()[0])
    except (OSError, ValueError, IndexError, subprocess.SubprocessError):
        return None
