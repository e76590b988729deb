"""The harness's end of one fork server: starts it, talks to it, ends it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import socket
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from apr_leaderboard.errors import SandboxError
from apr_leaderboard.sandbox.level import Level
from apr_leaderboard.sandbox.limits import Limits
from apr_leaderboard.sandbox.view import interpreter, visible

__all__ = ["ForkServer", "ServerGoneError"]

_SWEEPS = {Level.NAMESPACES: "init", Level.SECCOMP: "keeper", Level.PROCESS: "group"}
_START_SECONDS = 60.0
_END_SECONDS = 5.0
_PACKAGE = Path(__file__).resolve().parent.parent

# Parents without their code: the jail's scripts are loaded, the harness around them is not.
_BOOT = """
import sys, types
for name, path in {parents!r}:
    sys.modules[name] = module = types.ModuleType(name)
    module.__path__ = [path]
from {jail} import launch
launch.main()
"""

_PRELOAD = (
    "typing math cmath re string random copy datetime time calendar collections collections.abc itertools functools "
    "operator heapq bisect statistics fractions decimal numbers enum dataclasses abc array struct hashlib json csv "
    "textwrap queue threading contextlib unicodedata locale io sys os types inspect ast keyword token tokenize secrets "
    "zlib binascii base64 urllib.parse html difflib pprint traceback warnings weakref pickle graphlib "
    "sysconfig platform"
)


class ServerGoneError(Exception):
    """The fork server ended while it was needed; handled inside this room."""


class ForkServer:
    """One running fork server with its jail and its private folder."""

    def __init__(self, level: Level, limits: Limits, *, native: bool) -> None:
        """Start it.

        Raises:
            SandboxError: it did not come up; the message carries its own words.
        """
        self._level = level
        self._limits = limits
        # Where files are not held back, hiding ctypes would only break what imports it.
        self._native = native or level is Level.PROCESS
        self._folder = tempfile.mkdtemp(prefix="apr-sandbox-")
        view = visible(native=native)
        self._control, theirs = socket.socketpair()
        self._heard = bytearray()
        try:
            with theirs:
                self._process = self._launch(view, theirs)
            self._greet(view.packages)
        except (OSError, ServerGoneError, ValueError) as error:
            said = self._last_words()
            self.close()
            raise SandboxError(f"the {level} sandbox did not start: {said or error}") from error

    def _launch(self, view: Any, theirs: socket.socket) -> subprocess.Popen[bytes]:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 -- closed in close()
        process = subprocess.Popen(
            [interpreter(), "-I", "-S", "-B", "-c", _boot_text()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            pass_fds=(theirs.fileno(),),
            cwd="/",
        )
        order = {
            "level": self._level.value,
            "python": interpreter(),
            "modules": _modules(),
            "private": self._folder,
            "control": theirs.fileno(),
            "tmpfs_bytes": self._limits.tmpfs_bytes,
            "view": dataclasses.asdict(view),
            "environment": _environment(self._private),
        }
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(order).encode())
        return process

    @property
    def _private(self) -> str:
        return "/box" if self._level is Level.NAMESPACES else self._folder

    def _greet(self, packages: tuple[str, ...]) -> None:
        self._control.settimeout(_START_SECONDS)
        self.send(
            {
                "native": self._native,
                "sweep": _SWEEPS[self._level],
                "private": self._private,
                "path": list(packages),
                "preload": _PRELOAD.split(),
                "limits": dataclasses.asdict(self._limits),
            }
        )
        self.receive()
        self._control.settimeout(None)

    def send(self, message: dict[str, Any]) -> None:
        """Send one message.

        Raises:
            ServerGoneError: nobody is there to take it.
        """
        body = json.dumps(message).encode()
        left = memoryview(struct.pack("<I", len(body)) + body)
        try:
            while left := left[self._sent(left) :]:
                # The server may itself be waiting to be heard: then neither would ever go on.
                poller = select.poll()
                poller.register(self._control, select.POLLIN | select.POLLOUT)
                if any(event & select.POLLIN for _, event in poller.poll()):
                    self._take()
        except OSError as error:
            raise ServerGoneError(str(error)) from error

    def _sent(self, data: memoryview) -> int:
        try:
            return self._control.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def _take(self) -> None:
        """Read what is there, at least a byte."""
        try:
            part = self._control.recv(1 << 16)
        except OSError as error:
            raise ServerGoneError(str(error)) from error
        if not part:
            raise ServerGoneError("its socket closed")
        self._heard += part

    def receive(self) -> dict[str, Any]:
        """Wait for one message.

        Raises:
            ServerGoneError: the server ended first.
        """
        head = self._exactly(4)
        message: dict[str, Any] = json.loads(self._exactly(struct.unpack("<I", head)[0]))
        return message

    def _exactly(self, count: int) -> bytes:
        while len(self._heard) < count:
            self._take()
        part = bytes(self._heard[:count])
        del self._heard[:count]
        return part

    @property
    def pid(self) -> int:
        """The process at the top of the jail."""
        return self._process.pid

    def _last_words(self) -> str:
        with contextlib.suppress(AttributeError, subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        try:
            self._stderr.seek(0)
            return self._stderr.read()[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
        except AttributeError:
            return ""

    def close(self) -> None:
        """End it with everything below it, and remove its folder; quiet when it is gone already."""
        self._control.close()
        process = getattr(self, "_process", None)
        if process is not None:
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _boot_text() -> str:
    root = _PACKAGE.name
    parents = [(root, str(_PACKAGE)), (f"{root}.sandbox", str(_PACKAGE / "sandbox"))]
    return _BOOT.format(parents=parents, jail=f"{root}.sandbox.jail")


def _modules() -> list[tuple[str, str]]:
    """The fork server's modules in the order they need each other; packages come empty."""
    jail = f"{_PACKAGE.name}.sandbox.jail"
    packages = [(_PACKAGE.name, ""), (f"{_PACKAGE.name}.sandbox", ""), (jail, "")]
    names = ("words", "streams", "look", "guard", "child", "watch", "zygote")
    folder = Path(__file__).parent / "jail"
    return packages + [(f"{jail}.{name}", (folder / f"{name}.py").read_text(encoding="utf-8")) for name in names]


def _environment(private: str) -> dict[str, str]:
    # Nothing of ours is passed on: it may hold tokens. One thread a library, and the same hashes every time.
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    fixed = {"PATH": os.defpath, "LANG": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0", "MPLBACKEND": "Agg"}
    return {**fixed, "HOME": private, "TMPDIR": private, **dict.fromkeys(threads, "1")}
