"""Memory as this side measures it, whatever a program tells of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apr_leaderboard.criteria import Asked, Trial
from apr_leaderboard.criteria.memory import descendants, peak_resident, trained_for_memory
from apr_leaderboard.engine import Checkpoint, Progress
from apr_leaderboard.model.record import EngineIdentity, StageRecord
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.proof.lab import Made

_HOLD = "import sys; held = bytearray({size}); held[::4096] = b'x' * len(held[::4096]); print('.', flush=True); input()"
_SIZE = 60 << 20


def holding(size: int, *, below: bool = False) -> subprocess.Popen[str]:
    """A process that holds so many bytes until it is told something; `below` another one."""
    code = _HOLD.format(size=size)
    own = [sys.executable, "-c", code]
    words = [sys.executable, "-c", f"import subprocess; subprocess.run({own!r})"] if below else own
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Tell it to end."""
    process.communicate("\n")


@pytest.mark.parametrize("below", [False, True])
def test_descendants_of_this_process_are_found_with_what_they_hold(below: bool) -> None:
    """A child, and a child's child."""
    before = descendants(os.getpid())
    process = holding(_SIZE, below=below)
    try:
        found = descendants(os.getpid()) - before
        assert (process.pid in found, len(found)) == (True, 1 + below)
        assert _SIZE < max(map(peak_resident, found)) < 3 * _SIZE
    finally:
        end(process)


def test_peak_of_a_small_process_is_its_own_and_not_its_parents() -> None:
    """Which getrusage(2) would give it."""
    held = b"x" * (4 * _SIZE)
    process = holding(1)
    try:
        assert peak_resident(process.pid) < len(held)
    finally:
        end(process)


def test_peak_of_a_process_that_is_gone_is_none() -> None:
    """It is not measured."""
    process = holding(1)
    end(process)
    assert peak_resident(process.pid) == 0


class Remembering(Trial):
    """A trial that runs a step at once, and keeps its record."""

    def done(self, step: Any) -> Made:
        """Without a store."""
        store = cast(Any, None)
        record = step.build((Checkpoint(self.folder, "hf"),), self.folder, store, lambda progress: None)
        return Made(cast(Any, None), self.folder, record=record)

    def note(self, done: object) -> None:
        """Nothing."""

    def model(self, seed: int = 1) -> Made:
        """Of no weight."""
        del seed
        return Made(cast(Any, SimpleNamespace(key="k")), self.folder, Checkpoint(self.folder, "hf"))


class Training:
    """An engine that trains in a process of its own, which holds so much; it tells of its progress twice."""

    name = "fake"

    def __init__(self, size: int) -> None:
        self._size = size

    def identity(self) -> EngineIdentity:
        """Of no build in particular."""
        return EngineIdentity(name="fake", version="1", build="0")

    def capabilities(self) -> frozenset[str]:
        """One."""
        return frozenset({"finetune"})

    def run(self, job: object, out: Path, watch: Any) -> StageRecord:
        """Train, or do nothing where it is to hold nothing."""
        if self._size:
            process = holding(self._size)
            watch(Progress("finetune", 1, 2, "steps"))
            watch(Progress("finetune", 2, 2, "steps"))
            end(process)
        return StageRecord(op="finetune", engine=self.identity(), command=())


@pytest.mark.parametrize("size", [0, _SIZE])
def test_training_for_memory_keeps_the_most_that_its_process_held(size: int, tmp_path: Path) -> None:
    """And tells nothing where nothing was seen."""
    (tmp_path / "recipes" / "data").mkdir(parents=True)
    (tmp_path / "recipes" / "data" / "smoke-subset.jsonl").write_text("{}\n")
    engine = Training(size)
    bench = SimpleNamespace(engine=lambda _: engine, root=tmp_path, runner=SimpleNamespace(run=lambda step: None))
    trial = Remembering(cast(Workbench, bench), Asked("AC-005", "test_it", "fake", "smoke"), tmp_path)
    made = trained_for_memory(trial, "qlora")
    assert made.record is not None
    peak = made.record.figures.get("peak_rss_bytes")
    assert peak is None if not size else size < int(peak or 0) < 3 * size
