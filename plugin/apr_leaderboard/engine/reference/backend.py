"""What the reference engine multiplies on: the CPU, or a wgpu adapter; asked for, found, and told by whoever ran.

`APR_REFERENCE_BACKEND` asks the engine; the program it starts is told with `--backend`. Nothing falls back: where an
adapter is asked for and none is here, that is the answer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final, Literal, get_args

from apr_leaderboard.engine.process import Command, run_command
from apr_leaderboard.engine.reference.ops import OpResult
from apr_leaderboard.engine.shaders import hide_vendor_devices, open_adapter, vendor_libraries
from apr_leaderboard.errors import AdapterMissingError, EngineOutputError, RequestError

__all__ = [
    "BACKENDS",
    "VARIABLE",
    "Backend",
    "add_backend_argument",
    "backend_asked",
    "prepare",
    "start",
    "with_backend_figures",
]

BackendName = Literal["cpu", "wgpu"]

VARIABLE: Final = "APR_REFERENCE_BACKEND"
BACKENDS: Final[tuple[str, ...]] = get_args(BackendName)
_SECONDS: Final = 120.0
_EXIT_MISSING: Final = 4
_PROBE: Final = (sys.executable, "-m", "apr_leaderboard.engine.shaders")
_SHADERS: Final = Path(__file__).parent.parent / "shaders"


@dataclass(frozen=True)
class Backend:
    """A backend as the engine knows it; `adapter` is what the adapter says of itself, where there is one."""

    name: BackendName = "cpu"
    adapter: dict[str, str] = field(default_factory=dict)

    @property
    def words(self) -> tuple[str, ...]:
        """What the program is told; the CPU needs no word."""
        return () if self.name == "cpu" else ("--backend", self.name)

    @property
    def probe(self) -> tuple[str, ...]:
        """The command that told the adapter."""
        return () if self.name == "cpu" else _PROBE

    @property
    def version(self) -> str:
        """What an engine's version says of it: nothing of the CPU, else the library and the adapter's name."""
        return "" if self.name == "cpu" else f"+wgpu{self.adapter['wgpu']}+{self.adapter['name']}"

    def build_of(self, build: str) -> str:
        """A build's digest with what decides a product here: the adapter, its driver, and the shaders."""
        if self.name == "cpu":
            return build
        digest = hashlib.sha256(f"{build}\n{json.dumps(self.adapter, sort_keys=True)}".encode())
        for file in sorted(_SHADERS.glob("*.py")):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def backend_asked(name: str | None = None) -> Backend:
    """The backend called `name`, else the one that the variable asks for, else the CPU.

    Raises `RequestError` for a name that is none and `AdapterMissingError` for wgpu where no adapter is.
    """
    asked = name if name is not None else os.environ.get(VARIABLE) or "cpu"
    if asked not in BACKENDS:
        label = "backend" if name is not None else VARIABLE
        raise RequestError(f"{label}: got {asked!r}; accepted: {', '.join(BACKENDS)}")
    return Backend() if asked == "cpu" else Backend("wgpu", dict(_adapter()))


@cache
def _adapter() -> dict[str, str]:
    """Asked of a process of its own: drivers stay out of this one, and what a driver breaks breaks there."""
    lines: list[str] = []
    finished = run_command(Command(_PROBE, timeout=_SECONDS, name="reference"), on_stdout_line=lines.append)
    if finished.exit_code == _EXIT_MISSING:
        said = finished.stderr_tail.strip().splitlines()[-1].removeprefix("error: ")
        raise AdapterMissingError(said, command=_PROBE)
    try:
        found = json.loads(lines[-1])["adapter"]
        return {str(key): str(value) for key, value in found.items()}
    except (IndexError, KeyError, ValueError, AttributeError):
        message = f"the look for a wgpu adapter ended with {finished.exit_code}, and not with an adapter"
        raise EngineOutputError("reference", message, command=_PROBE, stderr=finished.stderr_tail) from None


# -- inside the program ---------------------------------------------------------------------------------------------


def add_backend_argument(parser: argparse.ArgumentParser) -> None:
    """`--backend`, which every operation takes."""
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default="cpu",
        help="what multiplies with weights: JAX on the CPU, or a WGSL kernel on the adapter that wgpu finds",
    )


def prepare(name: str) -> None:
    """Before JAX is imported: which platform it takes, and for wgpu, that no vendor's toolkit is left a device.

    On wgpu, JAX waits for each computation before it begins the next, so that a thread is always free for the calls
    back from it.
    """
    if name == "cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")
        return
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["JAX_CPU_ENABLE_ASYNC_DISPATCH"] = "false"
    hide_vendor_devices(os.environ)


def start(name: str) -> None:
    """Have the operation's products done there. Raises `AdapterMissingError`."""
    if name == "wgpu":
        # Imported here: they bring JAX with them, which a process on the CPU imports when its operation does.
        from apr_leaderboard.engine.reference.products import compute_on
        from apr_leaderboard.engine.shaders import DeviceProduct

        compute_on(DeviceProduct(open_adapter()))


def with_backend_figures(result: OpResult, name: str) -> OpResult:
    """What an operation left, and what it ran on: the adapter, its dispatches, the vendors' libraries in this process.

    As they are at the operation's end; nothing is added on the CPU.
    """
    if name == "cpu":
        return result
    from apr_leaderboard.engine.reference.products import product_in_use

    used, libraries = product_in_use(), vendor_libraries()
    assert used is not None
    ran: dict[str, int | str] = {
        "backend": f"wgpu {used.adapter.api}",
        "adapter": used.adapter.name,
        "dispatches": used.dispatches,
        "vendor_libraries": "unknown" if libraries is None else ", ".join(libraries) or "none",
    }
    return OpResult(result.checkpoint, result.format, {**result.figures, **ran})
