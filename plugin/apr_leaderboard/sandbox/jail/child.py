"""The child: runs one program and its check, and can tell success only by having got through both."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the types know only the module around it
import gc
import io
import itertools
import math
import mmap
import os
import resource
import sys
import traceback
import types
from dataclasses import dataclass
from typing import Any, NoReturn

from apr_leaderboard.sandbox.jail.guard import Check, Guard
from apr_leaderboard.sandbox.jail.look import Library

__all__ = ["SEAL_BYTES", "Task", "cpu_rlimit", "forbid", "limit_all", "live"]

SEAL_BYTES = 16
_REPORT_CAP = 1 << 15
_REPORT_FD = 3
_MOST_FDS = 64


@dataclass
class Task:
    """One program on its way: its text, its compiled check and the classes it may lean on, the socket to report on,
    where to leave the word.
    """

    source: str
    check: Check
    library: Library
    report: int
    vault: mmap.mmap
    session: bool
    cpu_rlimit: tuple[int, int]


# -- what a program may not do ----------------------------------------------------------------------------------------


def _forbid(event: str, arguments: Any) -> None:
    # Without these a program's Python code has no road to an object that no frame, module or container names, and
    # cannot step into the check's own frames.
    if event in {
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "sys._current_frames",
        "sys._current_exceptions",
        "sys.settrace",
        "sys.setprofile",
        "sys.monitoring.register_callback",
    }:
        raise PermissionError("the sandbox forbids " + event)
    if event == "object.__setattr__" and arguments[1] == "__code__" and _is_ours(arguments[0]):
        raise PermissionError("the sandbox forbids other code for its functions")


def _is_ours(function: Any) -> bool:
    return type(function) is types.FunctionType and function.__code__.co_filename in {"<child>", "<guard>", "<look>"}


def _forbid_native(event: str, arguments: Any) -> None:
    # Mostly its file is out of sight; some Pythons have it built in.
    if event == "import" and arguments[0] == "_ctypes":
        raise ImportError("the sandbox forbids _ctypes")
    if event in {"ctypes.dlopen", "ctypes.dlsym", "ctypes.call_function", "ctypes.cdata"}:
        raise PermissionError("the sandbox forbids " + event)


def forbid(*, native: bool) -> None:
    """Put up audit hooks, which nothing in Python takes down again."""
    sys.addaudithook(_forbid)
    if not native:
        sys.addaudithook(_forbid_native)


def limit_all(limits: dict[str, Any]) -> None:
    """The limits that fork server and children share."""
    _limit(resource.RLIMIT_AS, limits["memory_bytes"])
    _limit(resource.RLIMIT_NPROC, limits["processes"])
    _limit(resource.RLIMIT_FSIZE, limits["file_bytes"])
    _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    _limit(resource.RLIMIT_CORE, 0)


def cpu_rlimit(cpu_seconds: float) -> tuple[int, int]:
    """A child's RLIMIT_CPU. In clock ticks, so coarse: the fork server's exact count decides, this backs it up."""
    bound = _bounded(resource.RLIMIT_CPU, 2 * math.ceil(cpu_seconds) + 1)
    return bound, bound


def _limit(which: int, asked: int) -> None:
    bound = _bounded(which, asked)
    resource.setrlimit(which, (bound, bound))


def _bounded(which: int, asked: int) -> int:
    # Never above what we were given: asking for more than the hard limit would kill every program.
    hard = resource.getrlimit(which)[1]
    return asked if hard == resource.RLIM_INFINITY else min(asked, hard)


# -- the run ----------------------------------------------------------------------------------------------------------


def live(task: Task) -> NoReturn:
    """Everything the child does; it never returns to the fork server's code."""
    stage, leave, own, here = ["compile"], os._exit, os.getpid(), os.getpid
    try:
        _enter(task)
        program = compile(task.source, "<program>", "exec", dont_inherit=True)
        stage[:] = ["check", "program"]
        _run(task, program, stage)
    except BaseException as error:
        try:
            if here() == own:  # a copy the program made of itself has nothing to report
                _explain(error, stage[-1] if stage else "program")
        finally:
            leave(1)
    leave(0)


def _enter(task: Task) -> None:
    # The C functions, as signal's own wrap them in enumerations: every page a child touches is copied for it.
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (_signal.SIGCHLD,))
    gc.enable()
    os.dup2(task.report, _REPORT_FD, inheritable=False)
    os.closerange(_REPORT_FD + 1, _MOST_FDS)
    if task.session:
        os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, task.cpu_rlimit)


def _run(task: Task, program: types.CodeType, stage: list[str]) -> None:
    names: dict[str, Any] = {}
    # A bare FileIO has no buffer, and its writelines is the C caller that holds the sealed word. The steps get no name
    # here: a program that found them in this frame could take them itself, and swallow what they raise.
    io.FileIO(_REPORT_FD, "wb", closefd=False).writelines(
        _sealed(
            task.vault,
            map(exec, (program,), (names,)),
            map(stage.remove, ("program",)),
            Guard(task.check, names, task.library).steps(),
        )
    )


def _sealed(vault: mmap.mmap, *steps: Any) -> Any:
    """An iterator of C objects only: it runs the steps, and after the last one yields a word nobody has seen.

    The fork server gets the word first, through shared memory that the child then lets go of. From here on no
    variable, frame or container that Python code can reach names it: it waits in the iterator that the C caller holds
    on its own stack, and comes out only when every step has returned, and in this process only: of the copies that a
    program makes of itself, one could always have the right answer.
    """
    word = os.urandom(SEAL_BYTES)
    vault[:SEAL_BYTES] = word
    vault.close()
    no_copy = map({os.getpid(): None}.__getitem__, itertools.starmap(os.getpid, ((),)))
    return filter(None, itertools.chain(*steps, no_copy, (word,)))


# -- what went wrong --------------------------------------------------------------------------------------------------


def _one_line(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException:
        text = "(its text cannot be made)"
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__


def _explain(error: BaseException, stage: str) -> None:
    kinds = (("assertion", AssertionError), ("memory", MemoryError), ("exit", SystemExit))
    kind = next((name for name, of in kinds if isinstance(error, of)), "other")
    # Nothing here may lean on a library the program could have changed.
    report = "\0".join((stage, kind, _one_line(error)))
    os.write(_REPORT_FD, report.encode("utf-8", "backslashreplace")[:_REPORT_CAP])
    # Skip the fork server's own frames; the program's are the interest.
    trace = error.__traceback__
    traceback.print_exception(type(error), error, trace and trace.tb_next, limit=-8)
