"""How far the workers of a run are, passed through files so that one terminal can show them all."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from apr_leaderboard.engine.protocol import Progress, Watch

__all__ = ["Post", "ProgressBoard", "ProgressReader"]

_WRITE_EVERY = 0.25
_FIRST_AFTER = 2.0


@dataclass(frozen=True)
class Post:
    """What one worker is doing: a `Progress` under a label, at `time`, begun at `since` with `begun` done (epoch s)."""

    label: str
    what: str
    done: float
    total: float | None
    unit: str
    time: float
    since: float
    begun: float
    note: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def seconds_left(self) -> float | None:
        """At the pace since it began; None where there is no end or no pace yet."""
        went, took = self.done - self.begun, self.time - self.since
        if self.total is None or went <= 0 or took <= 0:
            return None
        return max(0.0, (self.total - self.done) * took / went)

    def line(self) -> str:
        """For people."""
        amount = f"{self.done:g}" if self.total is None else f"{self.done:g}/{self.total:g}"
        left = self.seconds_left
        more = [self.note, "" if left is None or self.done == self.total else f"{_duration(left)} left"]
        return ", ".join([f"{self.label}: {self.what} {amount} {self.unit}", *filter(None, more)])


class ProgressBoard:
    """Where one worker posts what it is doing. A post is one small file, replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / f"{os.getpid()}.json"
        self._last = 0.0

    def watch(self, label: str) -> Watch:
        """A watch that posts under `label`, at most a few times a second."""
        first: dict[tuple[str, str, float | None], tuple[float, float]] = {}

        def post(progress: Progress) -> None:
            now = time.monotonic()
            # Each kind of work has a pace of its own.
            kind = (progress.what, progress.unit, progress.total)
            since, begun = first.setdefault(kind, (time.time(), progress.done))
            if now - self._last < _WRITE_EVERY and progress.done != progress.total:
                return
            self._last = now
            own = {**progress.__dict__, "figures": dict(progress.figures)}
            self._write(asdict(Post(label=label, time=time.time(), since=since, begun=begun, **own)))

        return post

    def clear(self) -> None:
        """Say that this worker does nothing worth showing."""
        self._last = 0.0
        with suppress(FileNotFoundError):
            self._file.unlink()

    def _write(self, body: dict[str, object]) -> None:
        # Progress is a courtesy: a full disk must not fail a run here, the store will say so where it matters.
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            draft = self._file.with_suffix(".tmp")
            draft.write_text(json.dumps(body))
            draft.replace(self._file)


class ProgressReader:
    """Reads every worker's posts and says them, once an interval, from a thread of its own."""

    def __init__(self, folder: Path, say: Callable[[list[Post]], None], interval: float) -> None:
        self._folder = folder
        self._say = say
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="apr-progress", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; nothing is said after this returns."""
        self._stop.set()
        self._thread.join()

    def _loop(self) -> None:
        # The wait before the first word keeps short runs quiet.
        pause = _FIRST_AFTER
        while not self._stop.wait(pause):
            pause = self._interval
            self._say(self.read())

    def read(self) -> list[Post]:
        """One post a busy worker, in a stable order; the same work that several tell of once."""
        posts = {}
        for file in sorted(self._folder.glob("*.json")):
            with suppress(OSError, ValueError, TypeError):
                post = Post(**json.loads(file.read_text()))
                posts[(post.label, post.what)] = post
        return [posts[key] for key in sorted(posts)]


def _duration(seconds: float) -> str:
    """In the two largest units: 45 s, 12 min, 1 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
