"""One line at the bottom of a terminal that says how far the run is, and the same as JSON Lines in the report folder.

Where standard error is no terminal, nothing is written to it: whoever wants to look on from there reads the file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from apr_leaderboard.pipeline import Post, ProgressReader
from apr_leaderboard.report.standing import SoFar

__all__ = ["PROGRESS", "ProgressLine", "ProgressStream"]

PROGRESS = "progress.jsonl"
_EVERY_TERMINAL = 0.5
_EVERY_FILE = 2.0

Standings = Callable[[], Sequence[SoFar]]


class ProgressLine:
    """Writes to the standard error that was there before pytest began to capture, if that is a terminal."""

    def __init__(self, folder: Path, standings: Standings, stream: ProgressStream | None = None) -> None:
        self._descriptor = os.dup(2)
        self._terminal = os.isatty(self._descriptor)
        self._drawn = 0
        self._stopped = False
        self._guard = threading.Lock()
        self._standings = standings
        self._stream = stream
        every = _EVERY_TERMINAL if self._terminal else _EVERY_FILE
        self._reader = ProgressReader(folder, self._say, every)

    def start(self) -> None:
        """Begin, if anyone looks."""
        if self._terminal or self._stream is not None:
            self._reader.start()

    def stop(self) -> None:
        """End, and leave the line clean; a second time does nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._terminal or self._stream is not None:
            self._reader.stop()
        if self._stream is not None:
            self._stream.close(self._standings())
        self._erase()
        os.close(self._descriptor)

    def _say(self, posts: list[Post]) -> None:
        standings = self._standings()
        if self._stream is not None:
            self._stream.write(posts, standings)
        if self._terminal:
            # What is all judged, the summary says.
            lines = [post.line() for post in posts]
            lines += [one.line() for one in standings if one.judged < one.problems]
            with self._guard:
                self._draw(" | ".join(lines)[: _width() - 1])

    def _draw(self, text: str) -> None:
        self._erase()
        if text:
            self._write(f"\r{text}")
            self._drawn = len(text)

    def _erase(self) -> None:
        if self._drawn:
            self._write("\r" + " " * self._drawn + "\r")
            self._drawn = 0

    def _write(self, text: str) -> None:
        with suppress(OSError):  # a closed terminal is no reason to fail
            os.write(self._descriptor, text.encode(sys.getdefaultencoding(), "replace"))


class ProgressStream:
    """Appends what changed to `progress.jsonl`, a line each; begun anew by a run that has something to say.

    Lines have `kind` and `time` (UTC, ISO 8601): `work` with a `Post`'s fields and `seconds_left`, `score` with those
    of a `SoFar`, and `end`. A run that finds all in the store is over before its first line, and leaves the file be.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / PROGRESS
        self._out: IO[str] | None = None
        self._said: dict[tuple[str, str], str] = {}

    def write(self, posts: Sequence[Post], standings: Sequence[SoFar]) -> None:
        """Add what is not as it was. A disk that is full fails no run here."""
        for post in posts:
            told = {key: value for key, value in asdict(post).items() if key not in ("time", "since", "begun")}
            left = post.seconds_left
            self._add("work", post.label, {**told, "seconds_left": None if left is None else round(left, 1)})
        for one in standings:
            self._add("score", one.evaluation, asdict(one))

    def close(self, standings: Sequence[SoFar]) -> None:
        """Add how it all stood in the end, if anything was said before."""
        if self._out is not None:
            self.write((), standings)
            self._add("end", "", {})
            with suppress(OSError):
                self._out.close()

    def _add(self, kind: str, name: str, body: dict[str, Any]) -> None:
        text = json.dumps(body, sort_keys=True, ensure_ascii=False)
        if self._said.get((kind, name)) == text:
            return
        self._said[(kind, name)] = text
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with suppress(OSError):
            if self._out is None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._out = self._file.open("w", encoding="utf-8")
            self._out.write(json.dumps({"kind": kind, "time": now, **body}, ensure_ascii=False) + "\n")
            self._out.flush()


def _width() -> int:
    try:
        return os.get_terminal_size(2).columns
    except OSError:
        return 120
