"""`apr serve` on the GPU, asked one rendered prompt after the other."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from answers import cut_at_stop

__all__ = ["AprServer", "Asked", "ask_all", "fastest_path"]

_LOAD_SECONDS = 240.0
_PATHS = ("/generate", "/v1/completions")
"""Both continue raw text; `generate` also says which tokens it read and wrote."""


class AprServer:
    """A running server; `load_seconds` is from its start until it answered."""

    def __init__(self, apr: str, model: Path, log: Path, words: tuple[str, ...] = ()) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.argv = (apr, "serve", "run", str(model), "--host", "127.0.0.1", "--port", str(self.port), *words)
        self._log = log
        self.load_seconds = 0.0

    def __enter__(self) -> AprServer:
        started = time.monotonic()
        with self._log.open("ab") as log:
            self._program = subprocess.Popen(self.argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        while time.monotonic() - started < _LOAD_SECONDS and self._program.poll() is None:
            try:
                if self.ask("GET", "/health", None, 5.0)[0] == 200:
                    self.load_seconds = time.monotonic() - started
                    return self
            except OSError:
                time.sleep(0.05)
        self.__exit__(None, None, None)
        raise RuntimeError(f"the server did not answer: {self._log.read_text(errors='replace')[-500:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._program.send_signal(number)
            try:
                self._program.wait(5.0)
                return
            except subprocess.TimeoutExpired:
                continue

    def ask(self, method: str, path: str, body: dict[str, Any] | None, timeout: float) -> tuple[int, dict[str, Any]]:
        """Status and JSON body. Raises OSError (TimeoutError too) where the server does not answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            raw = None if body is None else json.dumps(body).encode()
            connection.request(method, path, raw, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
        try:
            value = json.loads(text)
        except ValueError:
            value = {"error": text[:500].decode("utf-8", "replace")}
        return response.status, value if isinstance(value, dict) else {"value": value}


@dataclass
class Asked:
    """What the answers of one run add up to."""

    lines: list[dict[str, Any]] = field(default_factory=list)
    n_tokens: int = 0
    seconds: float = 0.0
    cut: int = 0
    tokenised_otherwise: int = 0
    failures: list[str] = field(default_factory=list)


def body_of(path: str, prompt: dict[str, Any], decode: dict[str, Any]) -> dict[str, Any]:
    """The request for a rendered prompt; the text goes in as it is, markers and prefill included."""
    sampled = decode.get("temperature", 0.0) > 0
    common = {"prompt": prompt["rendered"], "max_tokens": decode["max_tokens"], "seed": prompt["seed"]}
    common["temperature"] = decode.get("temperature", 0.0)
    if path == "/generate":
        return {**common, "strategy": "top_k" if sampled else "greedy", **({"top_k": 0} if sampled else {})}
    return {**common, "model": "apr"}


def fastest_path(server: AprServer, prompt: dict[str, Any], tokens: int = 64) -> tuple[str, dict[str, float]]:
    """The path that answers most tokens a second, each tried twice (the first time may compile), and the rates."""
    rates = {}
    for path in _PATHS:
        for _ in range(2):
            started = time.monotonic()
            try:
                status, reply = server.ask("POST", path, body_of(path, prompt, {"max_tokens": tokens}), 60.0)
            except OSError:
                break
            if status == 200:
                rates[path] = round(_read(reply)[1] / (time.monotonic() - started), 1)
    if not rates:
        raise RuntimeError("no path of the server continues raw text")
    return max(rates, key=lambda path: rates[path]), rates


def ask_all(
    server: AprServer, path: str, prompts: list[dict[str, Any]], decode: dict[str, Any], deadline: float, kept: Path
) -> Asked:
    """Ask until all are answered or `deadline` (time.monotonic) is past; each answer is a line of `kept` at once."""
    asked = Asked()
    started = time.monotonic()
    for prompt in prompts:
        if time.monotonic() > deadline:
            asked.failures.append(f"{len(prompts) - len(asked.lines)} prompts not reached in the time given")
            break
        try:
            status, reply = server.ask("POST", path, body_of(path, prompt, decode), 120.0)
        except OSError as error:
            asked.failures.append(f"{prompt['task_id']}: {error!r}")
            continue
        if status != 200:
            asked.failures.append(f"{prompt['task_id']}: HTTP {status}: {str(reply)[:200]}")
            continue
        _take(asked, prompt, reply, decode["max_tokens"])
        with kept.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(asked.lines[-1]) + "\n")
        if len(asked.lines) % 20 == 0:
            rate = asked.n_tokens / (time.monotonic() - started)
            print(f"  {len(asked.lines)} of {len(prompts)} answers, {rate:.1f} tokens/s", flush=True)
    asked.seconds = time.monotonic() - started
    return asked


def _take(asked: Asked, prompt: dict[str, Any], reply: dict[str, Any], most: int) -> None:
    text, n_tokens, ids = _read(reply)
    answer, stopped = cut_at_stop(text, prompt.get("stop", ()))
    asked.cut += stopped
    asked.n_tokens += n_tokens
    line = {"task_id": prompt["task_id"], "sample": prompt.get("sample", 0), "answer": answer}
    line |= {"finish": "stop" if stopped or n_tokens < most else "length", "n_tokens": n_tokens}
    if ids is not None:
        read = ids[: len(ids) - n_tokens]
        asked.tokenised_otherwise += read != prompt["ids"]
        line |= {"n_prompt_tokens": len(read), "tokens": ids[len(read) :]}
    asked.lines.append(line)


def _read(reply: dict[str, Any]) -> tuple[str, int, list[int] | None]:
    if "token_ids" in reply:
        return reply["text"], int(reply["num_generated"]), reply["token_ids"]
    choice = reply["choices"][0]
    return choice["text"], int(reply["usage"]["completion_tokens"]), None
