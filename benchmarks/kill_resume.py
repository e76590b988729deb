"""A recipe killed and resumed, again and again: does it end with the same digests, and is anything done twice?

Runs the recipe undisturbed in one store, then in another store again and again, each time ending every process of the
run by SIGKILL, and at last to its end. Compares the stages' digests and the verdict files, and checks after each kill
that no finished entry was made again. With --kills, each kill comes after a random while; with --at-stages, one comes
as soon as each further result is in the store, and the next in the midst of the work that follows it.

    python benchmarks/kill_resume.py --kills 10 --seed 0 [--workers 2]
    python benchmarks/kill_resume.py --recipe recipe_c --at-stages
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from apr_leaderboard.store import Store

_ROOT = Path(__file__).resolve().parents[1]

Until = Callable[[float], bool]
"""Told when the run was started (on the monotonic clock), says whether it is to be killed now."""


def main() -> int:
    """0: equal digests and nothing done twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--recipe", default="recipe_a", help="its mark")
    parser.add_argument(
        "--at-stages", action="store_true", help="kill at each result's end and in the midst of the next"
    )
    parser.add_argument("--longest", type=float, help="most seconds before a kill; else 0.6 of an undisturbed run")
    args = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="kill-resume-"))
    started = time.monotonic()
    command = Command(args.recipe, args.workers)
    calm = command.finish(scratch / "calm")
    whole = time.monotonic() - started
    print(f"undisturbed: {whole:.0f} s, {len(calm[0])} stages", flush=True)
    moments = random.Random(args.seed)
    made: dict[str, str] = {}
    kills = _after_a_while(moments, args.kills, args.longest or whole * 0.6)
    if args.at_stages:
        kills = _at_stages(moments, scratch / "killed")
    for number, until in enumerate(kills, 1):
        ended = command.killed(scratch / "killed", until)
        made = _checked(scratch / "killed", made)
        print(f"kill {number}:{' (it had ended)' if ended else ''} {len(made)} entries kept", flush=True)
        if ended and args.at_stages:
            break
    resumed = command.finish(scratch / "killed")
    _checked(scratch / "killed", made)
    equal = resumed == calm
    print("digests and verdicts: " + ("equal" if equal else "DIFFER"))
    shutil.rmtree(scratch)
    return 0 if equal else 1


def _after_a_while(moments: random.Random, kills: int, longest: float) -> Iterator[Until]:
    """So many kills, each after a random number of seconds."""
    for _ in range(kills):
        yield partial(_waited, moments.uniform(1.0, longest))


def _waited(seconds: float, started: float) -> bool:
    return time.monotonic() - started >= seconds


def _at_stages(moments: random.Random, folder: Path) -> Iterator[Until]:
    """Without end: as soon as one more result is there than before, then a random while into the next."""
    for delay in itertools.cycle((0.0, None)):
        before, pause = _results(folder), moments.uniform(0.5, 4.0) if delay is None else delay
        seen: list[float] = []

        def due(started: float, before: int = before, pause: float = pause, seen: list[float] = seen) -> bool:
            del started
            if not seen and _results(folder) > before:
                seen.append(time.monotonic())
            return bool(seen) and time.monotonic() - seen[0] >= pause

        yield due


def _results(folder: Path) -> int:
    """How many results are finished."""
    return sum(1 for _ in (folder / "store" / "entries").glob("*/*/manifest.json"))


@dataclass(frozen=True)
class Command:
    """pytest on one recipe."""

    recipe: str
    workers: int

    def line(self, folder: Path) -> list[str]:
        """With a store and a report of its own."""
        spread = ["-n", str(self.workers)] if self.workers else []
        options = [f"--apr-store={folder / 'store'}", f"--apr-report={folder / 'out'}", "-q", "-p", "no:cacheprovider"]
        return [sys.executable, "-m", "pytest", "-m", self.recipe, *options, *spread]

    def finish(self, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
        """Run to the end; the stages' digests, and the verdict files."""
        done = subprocess.run(self.line(folder), cwd=_ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout[-3000:], done.stderr[-1000:])
            raise SystemExit(1)
        results = json.loads((folder / "out" / "results.json").read_text())
        digests = {stage["stage"]: stage["digest"] for stage in results["stages"]}
        return digests, {file.name: file.read_text() for file in (folder / "out" / "verdicts").iterdir()}

    def killed(self, folder: Path, until: Until) -> bool:
        """Start, wait, and end every process of the run at once; True if it had ended by itself."""
        started = time.monotonic()
        run = subprocess.Popen(
            self.line(folder),
            cwd=_ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while run.poll() is None:
            if until(started):
                os.killpg(run.pid, signal.SIGKILL)
                run.wait()
                return False
            time.sleep(0.02)
        return True


def _checked(folder: Path, made: dict[str, str]) -> dict[str, str]:
    """Every entry with the time it was made; raises where one that was there was made again or is gone."""
    store = Store(folder / "store")
    now = {entry.key: entry.created for entry in store.entries()}
    again = [key for key, created in made.items() if now.get(key) != created]
    if again:
        raise SystemExit(f"made twice or lost: {again}")
    if not store.verify().ok:
        raise SystemExit("a damaged entry was left")
    return now


if __name__ == "__main__":
    sys.exit(main())
