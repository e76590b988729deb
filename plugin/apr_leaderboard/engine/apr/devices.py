"""What the program can compute on, by its own list (`apr devices --json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.engine.process import Command, run_command
from apr_leaderboard.errors import AdapterMissingError, EngineOutputError

__all__ = ["Devices", "devices_command", "list_devices", "ready_device"]

_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Devices:
    """The entries of the list, each with at least `kind`; and the kind that the program selects by itself."""

    entries: tuple[Mapping[str, Any], ...]
    selected: str

    def of(self, kind: str) -> tuple[Mapping[str, Any], ...]:
        """Those of a kind, such as wgpu."""
        return tuple(one for one in self.entries if one["kind"] == kind)


def devices_command(binary: Path) -> tuple[str, ...]:
    """What lists them."""
    return (str(binary), "devices", "--json")


def list_devices(binary: Path) -> Devices:
    """Ask the program. Raises `EngineOutputError` where what it says cannot be read."""
    argv = devices_command(binary)
    finished = run_command(Command(argv, timeout=_SECONDS, name="apr"))
    try:
        document = json.loads(finished.stdout_tail)
        entries = tuple({"kind": "", **one} for one in document["entries"])
        return Devices(entries, str((document["selected"] or {}).get("kind", "cpu")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"its list of devices lacks or misstates {error}"
        raise EngineOutputError("apr", message, command=argv, stderr=finished.stderr_tail) from error


def ready_device(binary: Path, kind: str) -> str:
    """The name of a device of that kind that the program says is ready.

    Raises `AdapterMissingError` in the program's words where there is none, and `EngineOutputError` as `list_devices`.
    """
    listed = list_devices(binary).of(kind)
    ready = [str(one.get("device_name")) for one in listed if _state(one)[:1] == ("ready",)]
    if ready:
        return ready[0]
    words = "; ".join(sorted({" ".join(_state(one)) for one in listed})) or f"nothing of {kind}"
    there = [str(one["device_name"]) for one in listed if one.get("device_name")]
    if not listed or all((one.get("source") or {}).get("kind") == "not-compiled" for one in listed):
        lacking = f"this build of apr is without {kind}"
    else:
        lacking = f"apr declines {', '.join(there)}" if there else "apr finds none"
    raise AdapterMissingError(f"{lacking}; `devices` says {words}", backend=kind, command=devices_command(binary))


def _state(entry: Mapping[str, Any]) -> tuple[str, ...]:
    status = entry.get("status") or {}
    return tuple(str(status[key]) for key in ("state", "kind", "vendor", "reason", "detail") if status.get(key))
