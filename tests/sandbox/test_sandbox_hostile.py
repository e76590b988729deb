"""Programs that mean harm: none gets out, none passes, none changes what comes after it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from apr_leaderboard.sandbox import Level, Program, Sandbox, Verdict

from .conftest import World, descendants

_FOLDER = Path(__file__).parent / "hostile"
_CASES: list[dict[str, Any]] = [
    {**case, "theme": path.stem}
    for path in sorted(_FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]
# The same code at every level.
_LEVEL_FREE = ("check", "exhaustion")
_CHECKS = {
    "function": """
def check(candidate):
    assert candidate(2, 3) == 5
    assert candidate(-1, 1) == 0
    assert candidate(10, -3) == 7

check(add)
""",
    "plain": "assert add(2, 3) == 5\nassert add(-1, 1) == 0\n",
    "lists": "def check(candidate):\n    assert candidate(2, 3) == [5]\n\ncheck(add)\n",
    "dictionaries": "def check(candidate):\n    assert candidate(2, 3) == {'sum': 5}\n\ncheck(add)\n",
    "booleans": "assert add(2, 3) == True\nassert add(2, 4) == False\nassert add(2, 5) == True\n",
    "worked out": "assert add(2, 3) == len('apple')\nassert add(-1, 1) == len('')\n",
    "close": """
import math

def check(candidate):
    assert abs(candidate(2, 3) - 5) < 1e-6
    assert all(math.isclose(candidate(x, 1), x + 1) for x in (1, 2, 3))
    assert isinstance(candidate(1, 1), (int, float)) and math.fabs(candidate(1, 1) - 2) < 1e-6
    assert len([candidate(1, 1)]) == 1 and abs(candidate(0, 0)) < 1e-6

check(add)
""",
}
_RIGHT = Program(
    "import os, random\nassert os.listdir('.') == []\ndef add(a, b):\n    return a + b\n", _CHECKS["function"], "right"
)
_WRONG = Program("def add(a, b):\n    return a - b\n", _CHECKS["close"], "wrong")
# Besides its program the jail is one process: the fork server, below the one that watches over it.
_AT_REST = 1


def _filled(case: dict[str, Any], world: World) -> str:
    values = {
        "{outside}": str(world.outside),
        "{port}": str(world.server.getsockname()[1]),
        "{victim}": str(world.victim.pid),
        "{harness}": str(os.getpid()),
        "{nest}": "(" * 100_000,
    }
    text = str(case["program"])
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def _expected(case: dict[str, Any], level: Level) -> set[Verdict]:
    told = case.get("seccomp", case["verdict"]) if level is Level.SECCOMP else case["verdict"]
    return {Verdict(name) for name in ([told] if isinstance(told, str) else told)}


def _marked() -> list[Any]:
    """Each program at each level; what takes seconds or does not hang on the level is left to the slow run."""
    cases = []
    for level in (Level.NAMESPACES, Level.SECCOMP):
        for case in _CASES:
            slow = level is Level.SECCOMP and (
                Verdict.TIMEOUT in _expected(case, level) or case["theme"] in _LEVEL_FREE
            )
            name = f"{level}-{case['name'].replace(' ', '-')}"
            cases.append(pytest.param(level, case, id=name, marks=[pytest.mark.slow] if slow else []))
    return cases


@pytest.mark.parametrize(("box", "case"), _marked(), indirect=["box"])
def test_hostile_program_fails_as_listed_and_touches_nothing(box: Sandbox, world: World, case: dict[str, Any]) -> None:
    """It has the verdict listed, the world outside is as it was, and the next samples are judged as ever."""
    program = Program(_filled(case, world), _CHECKS[case.get("check", "function")], case["name"])
    result, right, wrong = box.run_many((program, _RIGHT, _WRONG))
    assert result.verdict in _expected(case, box.level), result
    assert right.verdict is Verdict.PASSED, right
    assert wrong.verdict is Verdict.WRONG, wrong
    assert world.files() == world.before
    assert not world.visited()
    assert world.victim.poll() is None
    assert box.server_pid is not None
    assert len(descendants(box.server_pid)) == _AT_REST


def test_hostile_corpus_holds_sixty_programs_with_names_of_their_own() -> None:
    """The corpus is as large as promised and no program hides another."""
    names = [case["name"] for case in _CASES]
    assert len(set(names)) == len(names) >= 60
    assert all(case["verdict"] != "passed" and case.get("seccomp") != "passed" for case in _CASES)


def test_docs_list_every_difference_between_the_levels() -> None:
    """The list kept in docs/ is the one the corpus is run with, no more and no less."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    rows = [tuple(cell.strip() for cell in line.split("|")[1:4]) for line in text.splitlines() if line.startswith("| ")]
    listed = {row for row in rows if row[1] in set(Verdict) and row[2] in set(Verdict)}
    assert listed == {(case["name"], case["verdict"], case["seccomp"]) for case in _CASES if "seccomp" in case}
