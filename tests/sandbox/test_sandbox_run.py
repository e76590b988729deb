"""What becomes of ordinary programs, and of the sandbox when something breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apr_leaderboard.errors import RequestError, SandboxError
from apr_leaderboard.sandbox import Level, Limits, Program, Sandbox, SandboxResult, Verdict, choose_level

from .conftest import descendants

_CHECK = "def check(candidate):\n    assert candidate(1) == 2, 'one more'\n\ncheck(f)\n"
_RIGHT = "def f(x):\n    return x + 1\n"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox at the strongest level there is, with the usual limits."""
    with Sandbox(choose_level(), Limits(wall_seconds=20)) as box:
        yield box


def _run(sandbox: Sandbox, source: str, check: str = _CHECK) -> SandboxResult:
    return sandbox.run(Program(source, check, "sample"))


@pytest.mark.parametrize(
    ("source", "verdict", "error"),
    [
        pytest.param(_RIGHT, Verdict.PASSED, "", id="right"),
        pytest.param("def f(x):\n    return x\n", Verdict.WRONG, "AssertionError: one more", id="wrong"),
        pytest.param("def f(x):\n    return y\n", Verdict.EXCEPTION, "NameError: name 'y' is not defined", id="raises"),
        pytest.param(
            "def g(x):\n    return x\n", Verdict.EXCEPTION, "NameError: name 'f' is not defined", id="no name"
        ),
        pytest.param("assert False", Verdict.EXCEPTION, "AssertionError", id="own assertion"),
        pytest.param("def f(x:\n", Verdict.SYNTAX, "SyntaxError", id="syntax"),
        pytest.param("  \n# nothing\n", Verdict.NO_CODE, "no code", id="no code"),
        pytest.param("raise MemoryError", Verdict.MEMORY, "MemoryError", id="memory"),
        pytest.param("import os\nos._exit(7)", Verdict.KILLED, "left with exit code 7", id="leaves"),
    ],
)
def test_program_has_the_verdict_of_its_kind(sandbox: Sandbox, source: str, verdict: Verdict, error: str) -> None:
    """Each kind of outcome has its verdict, and one line says why."""
    result = _run(sandbox, source)
    assert result.verdict is verdict
    assert result.error.startswith(error)
    assert result.passed is (verdict is Verdict.PASSED)


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("if __name__ == '__main__':\n    raise SystemExit\n" + _RIGHT, id="main block stays quiet"),
        pytest.param("def f(x):\n    return math.floor(x + 1.5)\n", id="uses what the check imported"),
        pytest.param("def f(x):\n    return helper(x)\n", id="uses what the check defined"),
        pytest.param("f = lambda x: x + 1\n", id="lambda"),
        pytest.param("import functools\nf = functools.partial(max, 2)\n", id="callable object"),
        pytest.param("class f(int):\n    def __new__(cls, x):\n        return x + 1\n", id="class as function"),
        pytest.param("from __future__ import annotations\ndef f(x: Unknown):\n    return x + 1\n", id="future import"),
        pytest.param("import numpy\ndef f(x):\n    return numpy.int64(x) + 1\n", id="numpy"),
        pytest.param(
            "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()\n" + _RIGHT, id="thread"
        ),
        pytest.param("open('x', 'w').write('y')\nassert open('x').read() == 'y'\n" + _RIGHT, id="private file"),
        pytest.param("import tempfile\ntempfile.TemporaryFile().write(b'x')\n" + _RIGHT, id="temporary file"),
        pytest.param(
            "import asyncio\nasync def g():\n    return 2\ndef f(x):\n    return asyncio.run(g())\n", id="asyncio"
        ),
        pytest.param("def abs(x):\n    return -5\n" + _RIGHT, id="own name like a built-in's"),
        pytest.param("import fractions\ndef f(x):\n    return fractions.Fraction(x + 1)\n", id="fraction"),
        pytest.param("import decimal\ndef f(x):\n    return decimal.Decimal(x) + 1\n", id="decimal"),
        pytest.param("import unittest.mock\nimport asyncio\n" + _RIGHT, id="modules that change functions"),
    ],
)
def test_program_that_is_right_passes(sandbox: Sandbox, source: str) -> None:
    """Program and check share their names as one text would, and the usual libraries work."""
    check = "import math\ndef helper(x):\n    return x + 1\n\n" + _CHECK
    result = _run(sandbox, source, check)
    assert result.verdict is Verdict.PASSED, result


@pytest.mark.parametrize(
    ("source", "check"),
    [
        pytest.param("from collections import Counter as f", "assert f('aab') == {'a': 2, 'b': 1}", id="counter"),
        pytest.param(
            "from collections import OrderedDict\ndef f(x):\n    return OrderedDict(a=[x])",
            "assert f(1) == {'a': [1]}",
            id="ordered dictionary",
        ),
        pytest.param(
            "from collections import UserList\ndef f(x):\n    return UserList([[x], (x,)])",
            "assert f(1) == [[1], (1,)]",
            id="list of a library's",
        ),
        pytest.param(
            "from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n\ndef f(x):\n    return P(x)",
            "assert f(1) == (1,)",
            id="named tuple",
        ),
        pytest.param(
            "def f(x):\n    loop = [x]\n    loop += [loop, loop]\n    return loop",
            "assert f(1)[0] == 1 and len(f(1)[1][2]) == 3",
            id="list that holds itself",
        ),
        pytest.param(
            "import numpy\ndef f(x):\n    return [numpy.arange(x), numpy.float64(x)]",
            "assert f(2)[0].tolist() == [0, 1] and f(2)[1] == 2.0",
            id="array",
        ),
        pytest.param(
            "class f:\n    def __init__(self, x):\n        self.x = x\n    def __eq__(self, other):\n"
            "        return self.x == other.x\n",
            "assert f(1) == f(1)\nassert f(1) != f(2)",
            id="class that the check makes objects of",
        ),
    ],
)
def test_objects_of_other_classes_are_taken_as_they_are(sandbox: Sandbox, source: str, check: str) -> None:
    """The look for objects equal to everything is not held against what a library or the check itself compares."""
    result = _run(sandbox, source, check)
    assert result.verdict is Verdict.PASSED, result


def test_entry_point_named_like_a_builtin_is_the_programs_own(sandbox: Sandbox) -> None:
    """An assertion that asks about nothing but a built-in's name asks about the program's function of that name."""
    source = "def sum(a, b):\n    return a * b\n"
    assert _run(sandbox, source, "assert sum(3, 4) == 12\n").passed
    assert not _run(sandbox, source, "assert sum(3, 4) == 7\n").passed


def test_output_longer_than_the_cap_keeps_its_end_and_passes(sandbox: Sandbox) -> None:
    """Output is cut from the front, and no amount of it is held against a program."""
    source = "import sys\nfor i in range(20000):\n    print(i, 'é')\nprint('done', file=sys.stderr)\n" + _RIGHT
    result = _run(sandbox, source)
    assert result.passed
    assert result.stdout.endswith("19999 é\n")
    assert len(result.stdout.encode()) <= sandbox.limits.output_bytes + 2
    assert result.stderr == "done\n"


def test_failing_program_leaves_its_traceback(sandbox: Sandbox) -> None:
    """stderr ends as Python would have ended it."""
    result = _run(sandbox, "def f(x):\n    return 1 / 0\n")
    assert 'File "<program>", line 2, in f' in result.stderr
    assert result.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_random_numbers_and_hashes_are_the_same_in_every_run() -> None:
    """Luck decides no verdict."""
    source = "import random\nprint(random.random(), list({'a', 'b', 'c', 'd', 'e'}), hash('x'))\n" + _RIGHT
    seen = set()
    for _ in range(2):
        with Sandbox(choose_level()) as box:
            seen |= {_run(box, source).stdout for _ in range(2)}
    assert len(seen) == 1


def test_many_programs_come_back_in_their_order(sandbox: Sandbox) -> None:
    """However many are on their way, results come as the programs went."""
    programs = [Program(f"print({at})\n" + _RIGHT * (at % 3 > 0), _CHECK) for at in range(20)]
    results = list(sandbox.run_many(programs))
    assert [int(result.stdout) for result in results] == list(range(20))
    assert [result.passed for result in results] == [at % 3 > 0 for at in range(20)]


def test_large_programs_beside_large_results_do_not_wait_for_each_other() -> None:
    """Neither side's socket holds as much as this: were each to wait until the other listens, nothing would end."""
    loud = "import os, sys\nsys.stdout.write('\\0' * 8192)\nos.write(3, b'\\xff' * 65000)\n"
    large = f"text = '{'a' * 2_000_000}'\n{_RIGHT}"
    with Sandbox(choose_level()) as box:
        results = [result.passed for result in box.run_many([Program(text, _CHECK) for text in (loud, large) * 2])]
    assert results == [False, True] * 2


def test_run_left_early_does_not_disturb_the_next(sandbox: Sandbox) -> None:
    """Programs sent ahead and not asked for any more leave no result behind."""
    results = sandbox.run_many(Program(f"print({at})\n" + _RIGHT, _CHECK) for at in range(10))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert _run(sandbox, "print('mine')\n" + _RIGHT).stdout == "mine\n"


def test_check_that_does_not_compile_is_trouble_of_ours(sandbox: Sandbox) -> None:
    """A broken check is no failure of the program."""
    with pytest.raises(SandboxError, match="sample: the check does not compile"):
        _run(sandbox, _RIGHT, "assert (")
    assert _run(sandbox, _RIGHT).passed


def _kill_one_of(keeper: int, which: int) -> None:
    """Kill the keeper (0) or the fork server it keeps (1), and wait until both are gone.

    The one outlives the other by a moment, in which a fork server may still answer for a keeper that is dead.
    """
    # A walk through /proc may miss one while others come and go.
    tree = _until(lambda: [keeper, *descendants(keeper)], lambda found: len(found) > which)
    os.kill(tree[which], signal.SIGKILL)
    _until(lambda: [pid for pid in tree if _is_alive(pid)], lambda alive: not alive)


def _until(look: Callable[[], list[int]], good: Callable[[list[int]], bool]) -> list[int]:
    for _ in range(200):
        if good(found := look()):
            return found
        time.sleep(0.05)
    raise AssertionError(f"for ten seconds there was {found}")


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_killed_fork_server_is_replaced_and_the_sample_run_again() -> None:
    """Neither the death of the keeper nor that of the fork server costs a verdict."""
    with Sandbox(choose_level()) as box:
        assert _run(box, _RIGHT).passed
        for which in (0, 1):
            assert box.server_pid is not None
            _kill_one_of(box.server_pid, which)
            assert _run(box, _RIGHT).passed


def test_fork_server_killed_in_the_middle_of_a_program_runs_it_again() -> None:
    """A sample in flight when its server dies is not lost."""
    with Sandbox(choose_level(), Limits(wall_seconds=20)) as box:
        assert _run(box, _RIGHT).passed
        first = box.server_pid
        assert first is not None

        def programs() -> Iterator[Program]:
            yield Program("import time\ntime.sleep(0.3)\n" + _RIGHT, _CHECK)
            os.kill(first, signal.SIGKILL)
            yield Program(_RIGHT, _CHECK)

        assert [result.verdict for result in box.run_many(programs())] == [Verdict.PASSED] * 2
        assert box.server_pid != first


def test_fork_server_that_dies_again_and_again_is_infrastructure_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few deaths the sandbox gives up with an error, not with a verdict."""
    from apr_leaderboard.sandbox import box as module

    class Dying(module.ForkServer):
        def receive(self) -> dict[str, object]:
            if hasattr(self, "up"):
                raise module.ServerGoneError("gone")
            self.up = True
            return super().receive()

    monkeypatch.setattr(module, "ForkServer", Dying)
    with Sandbox(choose_level()) as box, pytest.raises(SandboxError, match="sample: its fork server died 3 times"):
        _run(box, _RIGHT)


def test_closed_sandbox_leaves_no_process_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was started is gone, and so is the private folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Sandbox(choose_level()) as box:
        assert _run(box, _RIGHT).passed
        assert box.server_pid is not None
        started = [box.server_pid, *descendants(box.server_pid)]
    assert not [pid for pid in started if Path(f"/proc/{pid}").exists()]
    assert not list(tmp_path.glob("apr-sandbox-*"))


def test_killed_harness_leaves_no_process_behind() -> None:
    """Whoever kills the harness in the middle of a program need not clean up after it."""
    text = (
        "from apr_leaderboard.sandbox import *\n"
        "box = Sandbox(choose_level(), Limits(wall_seconds=500))\n"
        "box.run(Program('def f(x): return 2', 'assert f(1) == 2'))\n"
        "print(box.server_pid, flush=True)\n"
        "box.run(Program('import time; time.sleep(1000)', 'assert f(1) == 2'))\n"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout is not None
        keeper = int(harness.stdout.readline())
        started = [keeper]
        while len(started) < 3:
            started = [keeper, *descendants(keeper)]
            time.sleep(0.01)
        harness.kill()
    for _ in range(1000):
        left = [
            pid
            for pid in started
            if Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        if not left:
            break
        time.sleep(0.01)
    assert left == []


def test_process_level_runs_when_asked_for_by_name() -> None:
    """The weakest level works, names what it cannot stop, and is never what auto gives."""
    assert choose_level("process") is Level.PROCESS
    assert choose_level() is not Level.PROCESS
    assert Level.PROCESS.cannot_stop
    with Sandbox(Level.PROCESS, Limits(cpu_seconds=0.4, wall_seconds=0.8)) as box:
        verdicts = [_run(box, source).verdict for source in (_RIGHT, "def f(x):\n    return x\n", "while True: pass")]
    assert verdicts == [Verdict.PASSED, Verdict.WRONG, Verdict.TIMEOUT]


def test_unknown_level_is_refused_with_the_levels_there_are() -> None:
    """The message says what was got and what is accepted."""
    with pytest.raises(RequestError, match="got 'docker'; accepted: auto, namespaces, seccomp, process"):
        choose_level("docker")


@pytest.mark.parametrize("name", ["cpu_seconds", "wall_seconds", "memory_bytes", "processes", "output_bytes"])
def test_limit_not_above_zero_is_refused(name: str) -> None:
    """A limit nothing could run under is a mistake of the request."""
    with pytest.raises(RequestError, match=f"sandbox limit {name}: got 0"):
        Limits(**{name: 0})
