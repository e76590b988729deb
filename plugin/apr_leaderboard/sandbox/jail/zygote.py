"""The fork server: one process, one plain fork a program.

It holds no object of the harness. What it reads comes from the harness; what a child tells it is never believed, but
for the sealed word (see `child`), which only a check that ran to its end can send.
"""

from __future__ import annotations

import _socket
import contextlib
import gc
import importlib
import mmap
import os
import random
import signal
import socket
import stat
import sys
import time
from typing import Any

from apr_leaderboard.sandbox.jail.child import SEAL_BYTES, Task, cpu_rlimit, forbid, limit_all, live
from apr_leaderboard.sandbox.jail.guard import Check
from apr_leaderboard.sandbox.jail.look import Library
from apr_leaderboard.sandbox.jail.streams import NoInput, Tail, forget, read_tail, room_for
from apr_leaderboard.sandbox.jail.watch import Clock, Watch
from apr_leaderboard.sandbox.jail.words import receive, send

__all__ = ["main"]

_CHECKS_KEPT = 4
_MOVED = "moved up by the fork server "


class _Server:
    """Serves programs one after another until its control socket ends."""

    def __init__(self, control: socket.socket, keeper: socket.socket, setup: dict[str, Any]) -> None:
        self.control = control
        self.keeper = keeper
        self.setup = setup
        self.limits: dict[str, Any] = setup["limits"]
        self.size: int = self.limits["output_bytes"]
        self.checks: dict[str, Check] = {}
        self.library = Library()
        self.room = room_for(self.size, 2)
        self.vault = mmap.mmap(-1, SEAL_BYTES)
        self.cpu = cpu_rlimit(self.limits["cpu_seconds"])

    def become_usual(self) -> None:
        """Take on everything a child would otherwise have to, so that a fork is ready to run."""
        sys.stdin = NoInput()
        sys.stdout, sys.stderr = Tail(self.room, 0, self.size), Tail(self.room, 1, self.size)
        os.chdir(self.setup["private"])
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        # The same random numbers for every program: a verdict must not depend on luck.
        random.seed(0)
        limit_all(self.limits)
        forbid(native=self.setup["native"])

    def sweep(self, pid: int) -> None:
        """Kill the program and whatever it started, by the strongest means this level has.

        Raises:
            SystemExit: the keeper is gone.
        """
        how = self.setup["sweep"]
        if how == "keeper":
            self.keeper.sendall(b"k")
            if not self.keeper.recv(1):
                raise SystemExit
            return
        with contextlib.suppress(ProcessLookupError):
            if how == "init":
                # As the first process of a pid namespace, -1 is everyone but ourselves, and no fork can slip by.
                os.kill(-1, signal.SIGKILL)
            else:
                os.killpg(pid, signal.SIGKILL)

    def check(self, text: str) -> Check:
        """The check's code, kept for the next samples of the same task."""
        check = self.checks.get(text)
        if check is None:
            check = Check.of(text)
            if len(self.checks) >= _CHECKS_KEPT:
                del self.checks[next(iter(self.checks))]
            self.checks[text] = check
            # The collector does not run by itself here; what making a check leaves behind goes now. A check has no
            # cycles, so it needs no collector, and no child's need look at it: what is looked at is copied.
            gc.collect()
            gc.freeze()
        return check

    def run(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one program to the end of its last descendant and say what was seen."""
        try:
            check = self.check(request["check"])
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            return {"trouble": f"the check does not compile: {error}"}
        for index in (0, 1):
            forget(self.room, index, self.size)
        ours, theirs = _socket.socketpair()
        self.vault[:] = bytes(SEAL_BYTES)
        try:
            session = self.setup["sweep"] == "group"
            task = Task(request["source"], check, self.library, theirs.fileno(), self.vault, session, self.cpu)
            started = time.monotonic()
            pid = os.fork()
            if pid == 0:
                live(task)
            forked = time.monotonic()
            theirs.close()
            watch = Watch(pid, ours, Clock(pid, started, self.limits), self.sweep)
            watch.wait(self.control)
            watch.finish()
        finally:
            ours.close()
            theirs.close()
        ended = time.monotonic()
        clean = _clear(self.setup["private"])
        spent = {"fork": forked - started, "clear": time.monotonic() - ended}
        return {**self._seen(watch, self.vault[:]), "clean": clean, "spent": spent}

    def _seen(self, watch: Watch, word: bytes) -> dict[str, Any]:
        return {
            "sealed": any(word) and watch.heard == word,
            "report": watch.heard.decode("utf-8", "replace"),
            "status": watch.status,
            "over": watch.clock.over,
            "cpu": watch.cpu,
            "wall": watch.wall,
            "rss": watch.rss,
            "stdout": read_tail(self.room, 0, self.size),
            "stderr": read_tail(self.room, 1, self.size),
        }


# -- the private folder -----------------------------------------------------------------------------------------------


def _clear(folder: str) -> bool:
    """Empty the private folder, however deep and whatever its modes; False where something would not go."""
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        moved = 0
        while names := os.listdir(top):
            for name in names:
                moved = _take_away(top, name, moved)
        return True
    except OSError:
        return False
    finally:
        os.close(top)


def _take_away(top: int, name: str, moved: int) -> int:
    """Remove an entry; a folder's own folders are moved up first, so that depth costs neither names nor descriptors."""
    if not stat.S_ISDIR(os.stat(name, dir_fd=top, follow_symlinks=False).st_mode):
        os.unlink(name, dir_fd=top)
        return moved
    with contextlib.suppress(OSError):
        os.chmod(name, 0o700, dir_fd=top)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for inner in os.listdir(folder):
            if stat.S_ISDIR(os.stat(inner, dir_fd=folder, follow_symlinks=False).st_mode):
                with contextlib.suppress(OSError):
                    os.chmod(inner, 0o700, dir_fd=folder)
                moved += 1
                os.rename(inner, f"{_MOVED}{moved}", src_dir_fd=folder, dst_dir_fd=top)
            else:
                os.unlink(inner, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)
    return moved


def main(control_fd: int, keeper_fd: int, register_at_fork: Any) -> None:
    """Set up, say "ready", and serve; `register_at_fork` is the function of os that was out of use until now."""
    control, keeper = socket.socket(fileno=control_fd), socket.socket(fileno=keeper_fd)
    setup = receive(control)
    if setup is None:
        return
    sys.path.extend(setup["path"])
    for name in setup["preload"]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    os.register_at_fork = register_at_fork
    for name in [name for name in sys.modules if name.startswith("apr_leaderboard")]:
        del sys.modules[name]
    server = _Server(control, keeper, setup)
    gc.collect()
    # What is here now is shared with every child; the collector need not touch, and so copy, its pages.
    gc.freeze()
    gc.disable()
    server.become_usual()
    send(control, {"ready": os.getpid(), "uid": os.getuid()})
    while (request := receive(control)) is not None:
        send(control, server.run(request))
