"""A running `apr serve`, asked over HTTP on the loopback interface."""

from __future__ import annotations

import http.client
import json
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from apr_leaderboard.engine.apr.exits import own_words
from apr_leaderboard.engine.process import Command, RunningProgram
from apr_leaderboard.errors import EngineCrashedError, EngineError, EngineTimeoutError

__all__ = ["Reply", "Server"]

_POLL_SECONDS: Final = 0.02
_TAIL_BYTES: Final = 64 << 10
_LISTEN: Final = "0A"
"""The TCP state number of a listening socket in /proc/net/tcp."""


class Reply:
    """Status and JSON body of one answer."""

    def __init__(self, status: int, raw: bytes) -> None:
        self.status = status
        try:
            parsed = json.loads(raw)
        except ValueError:
            parsed = {"error": raw.decode("utf-8", "replace")[:500]}
        self.body: dict[str, Any] = parsed if isinstance(parsed, dict) else {"error": f"not an object: {parsed!r}"}

    @property
    def error(self) -> str:
        """The program's own words about what went wrong."""
        error = self.body.get("error", "")
        return str(error.get("message", error)) if isinstance(error, dict) else str(error)


class Server:
    """Starts the program, waits until it listens, ends it on the way out.

    The port is the system's choice and is looked up in /proc: the program prints the 0 it was given. Linux only.
    """

    def __init__(self, command: Command, log: Path) -> None:
        self._command = command
        self._log = log
        self._stack = ExitStack()
        self._port = 0

    def __enter__(self) -> Server:
        with ExitStack() as stack:
            log = stack.enter_context(self._log.open("wb"))
            self._program = stack.enter_context(RunningProgram(self._command, stdout=log, stderr=subprocess.STDOUT))
            self._port = self._wait_until_listening()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that was started."""
        return self._command.argv

    def post(self, path: str, body: Mapping[str, Any], timeout: float) -> Reply:
        """One request. Raises `EngineTimeoutError` after `timeout` s, `EngineCrashedError` if the server is gone."""
        return self._exchange("POST", path, json.dumps(body).encode(), timeout)

    def get(self, path: str, timeout: float = 30.0) -> Reply:
        """One GET request; raises as `post`."""
        return self._exchange("GET", path, None, timeout)

    def log_text(self, n_bytes: int = _TAIL_BYTES) -> str:
        """The last `n_bytes` of what the program has written to stdout and stderr."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - n_bytes))
            return file.read().decode("utf-8", "replace")

    def _exchange(self, method: str, path: str, body: bytes | None, timeout: float) -> Reply:
        # A connection of its own, straight to the loopback: no proxy from the environment can come between.
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return Reply(response.status, response.read())
        except TimeoutError as error:
            raise self._error(EngineTimeoutError, f"no answer from {path} after {timeout:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            self._program.wait(1.0)
            state = "is gone" if self._program.has_ended() else "closed the connection"
            raise self._error(
                EngineCrashedError, f"the server {state} during {path}: {own_words(self.log_text())}"
            ) from error
        finally:
            connection.close()

    def _wait_until_listening(self) -> int:
        deadline = time.monotonic() + self._command.timeout
        while time.monotonic() < deadline:
            if self._program.has_ended():
                raise self._error(
                    EngineCrashedError, f"the server ended before it listened: {own_words(self.log_text())}"
                )
            port = _listening_port(self._program.pid)
            if port and self._answers(port):
                return port
            time.sleep(_POLL_SECONDS)
        raise self._error(EngineTimeoutError, f"the server did not listen within {self._command.timeout:.0f} s")

    def _answers(self, port: int) -> bool:
        self._port = port
        try:
            return self.get("/health").status == 200
        except EngineError:
            return False

    def _error(self, kind: type[EngineError], message: str) -> EngineError:
        return kind("apr", message, command=self._command.argv, stderr=self.log_text())


def _listening_port(pid: int) -> int:
    """The first TCP port process `pid` listens on; 0 if none."""
    inodes = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = str(link.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
        table = Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return 0
    for line in table:
        fields = line.split()
        if fields[3] == _LISTEN and fields[9] in inodes:
            return int(fields[1].rpartition(":")[2], 16)
    return 0
