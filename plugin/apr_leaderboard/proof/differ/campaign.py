"""The run: every drawn case through the program, in a few processes; a journal from which it goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from tempfile import mkdtemp
from typing import Final

from apr_leaderboard.engine.process import Command, run_command
from apr_leaderboard.errors import HarnessError, RequestError
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.proof.differ.look import Difference, differences
from apr_leaderboard.proof.differ.operation import Operation, Picks, Trial, draw_cases
from apr_leaderboard.proof.differ.ops import OPERATIONS

__all__ = ["Campaign", "Seen", "run_trial", "signature_of", "try_case"]

SECONDS: Final = 60.0
"""For one command on a model of some hundred weights."""
_AHEAD: Final = 8
_JOURNAL: Final = "cases.jsonl"
_AROUND: Final = frozenset(
    {"file format", "configuration kept", "tokenizer kept", "norms and biases kept", "embedding and head kept"}
)


@dataclass(frozen=True)
class Seen:
    """What one case came to: its differences, each by its signature; none is agreement."""

    operation: str
    picks: Picks
    differences: tuple[tuple[str, Difference], ...] = ()

    @property
    def outcome(self) -> str:
        """agree, differ, refused or crashed: the last two where a command did not end as it should."""
        details = [difference["detail"] for _, difference in self.differences]
        for ending in ("crashed", "refused"):
            if any(detail.startswith(f"{ending}:") for detail in details):
                return ending
        return "differ" if details else "agree"

    def as_line(self) -> str:
        """One line of the journal."""
        found = [[signature, difference] for signature, difference in self.differences]
        return json.dumps({"op": self.operation, "picks": list(self.picks), "found": found})


def signature_of(operation: Operation, difference: Difference) -> str:
    """What groups differences by their cause: the operation, the claim, and how it fails.

    What a command does to everything around the weights it does whatever its method: one cause for its whole family.
    """
    claim = difference["claim"]
    owner = operation.family if claim in _AROUND else operation.name
    return f"{owner}: {claim}: {difference['detail']}"


def run_trial(binary: Path, trial: Trial, folder: Path) -> None:
    """Run a trial's commands in its folder, their output and exit codes beside them; stop where one does not end well.

    The folder is home to the program, so that nothing is left elsewhere and nothing found there.
    """
    for step, arguments in enumerate(trial.commands, 1):
        argv = (str(binary), *arguments)
        done = run_command(Command(argv, cwd=folder, env={"HOME": str(folder)}, timeout=SECONDS, name="apr"))
        code = done.exit_code
        if done.timed_out or code is None:
            code = 124 if done.timed_out else 128 + (done.signal or 0)
        (folder / f"{step}.stdout").write_text(done.stdout_tail, encoding="utf-8")
        (folder / f"{step}.stderr").write_text(done.stderr_tail, encoding="utf-8")
        (folder / f"{step}.exit").write_text(str(code), encoding="utf-8")


def try_case(binary: Path, operation: Operation, picks: Picks) -> Seen:
    """Build a case, run it, look. Raises `HarnessError` where a case cannot be built or looked at."""
    folder = Path(mkdtemp(prefix="apr-differ-"))
    try:
        trial = operation.build(operation.values(picks), folder)
        run_trial(binary, trial, folder)
        found = differences(folder, trial.all_claims())
    except (ValueError, KeyError, IndexError, TypeError) as error:
        where = f"{operation.name} {operation.values(picks)}"
        raise HarnessError(f"{where}: the case cannot be tried: {type(error).__name__}: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    by_signature = {signature_of(operation, one): one for one in reversed(found)}
    return Seen(operation.name, picks, tuple(sorted(by_signature.items())))


class Campaign:
    """One run over some operations; `folder` holds its journal, from which an equal run goes on.

    Raises `RequestError` for a folder that holds the journal of another run.
    """

    def __init__(
        self, binary: Path, identity: EngineIdentity, operations: Sequence[Operation], cases: int, seed: int
    ) -> None:
        self.binary = binary
        self.identity = identity
        self.operations = tuple(operations)
        self.cases = cases
        self.seed = seed
        self.seen: dict[tuple[str, Picks], Seen] = {}

    def drawn(self) -> list[tuple[str, Picks]]:
        """Every case, operation by operation."""
        return [(one.name, picks) for one in self.operations for picks in draw_cases(one, self.cases, self.seed)]

    def open(self, folder: Path) -> int:
        """Make the folder, or take up what its journal holds; returns how many cases that is."""
        folder.mkdir(parents=True, exist_ok=True)
        journal = folder / _JOURNAL
        if not journal.exists():
            journal.write_text(self._header() + "\n", encoding="utf-8")
            return 0
        header, *rest = journal.read_text(encoding="utf-8").split("\n")
        if header != self._header():
            raise RequestError(
                f"{folder}: got the journal of another run, {header[:200]}; allowed: a new or empty folder"
            )
        for line in rest:
            with suppress(ValueError):  # the last line of a run that was ended may be torn
                raw = json.loads(line)
                seen = Seen(raw["op"], tuple(raw["picks"]), tuple((sig, diff) for sig, diff in raw["found"]))
                self.seen[seen.operation, seen.picks] = seen
        journal.write_text("\n".join([header, *(seen.as_line() for seen in self.seen.values()), ""]), encoding="utf-8")
        return len(self.seen)

    def run(self, folder: Path, jobs: int, minutes: float, tell: Callable[[int, int, str], None]) -> bool:
        """Try what has not been tried; `tell` gets cases done, in all, and the operation at hand.

        False where the time ran out first. What was tried stays, whatever ends the run.
        """
        drawn = self.drawn()
        left = [case for case in drawn if case not in self.seen]
        deadline = time.monotonic() + 60 * minutes
        done = len(drawn) - len(left)
        with (folder / _JOURNAL).open("a", encoding="utf-8") as journal:
            for seen in _through(self.binary, left, jobs, deadline):
                self.seen[seen.operation, seen.picks] = seen
                journal.write(seen.as_line() + "\n")
                journal.flush()
                done += 1
                tell(done, len(drawn), seen.operation)
        return done == len(drawn)

    def _header(self) -> str:
        known = {"version": self.identity.version, "build": self.identity.build}
        return json.dumps({"engine": "apr", **known, "cases": self.cases, "seed": self.seed, "code": _own_digest()})


@cache
def _own_digest() -> str:
    """Of this package: other axes or claims give the same cases another meaning."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for file in sorted(here.rglob("*.py")):
        digest.update(f"{file.relative_to(here)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def _through(binary: Path, cases: Iterable[tuple[str, Picks]], jobs: int, deadline: float) -> Iterator[Seen]:
    """Cases as they are done, until the deadline; processes that were started end with the last of them."""
    queue = iter(cases)
    if jobs == 1:
        for name, picks in queue:
            if time.monotonic() >= deadline:
                return
            yield _try_named(binary, name, picks)
        return
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("forkserver"), initializer=_leave_interrupts)
    waiting: set[Future[Seen]] = set()
    try:
        while True:
            room = jobs * _AHEAD - len(waiting) if time.monotonic() < deadline else 0
            waiting |= {pool.submit(_try_named, binary, name, picks) for name, picks in islice(queue, room)}
            if not waiting:
                return
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    except BrokenProcessPool:
        raise HarnessError("a process that tried cases was ended; the same command goes on where it was") from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; the one that was started by hand deals with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _try_named(binary: Path, name: str, picks: Picks) -> Seen:
    return try_case(binary, OPERATIONS[name], picks)
