"""The smoke suite's 16 problems and the data that teaches their kind, made here and kept as files.

`python -m apr_leaderboard.engine.reference.smoke_problems FOLDER` writes `suites/smoke.jsonl`,
`data/smoke-instruct.jsonl`, `data/smoke-preferences.jsonl` and `data/smoke-heldout.txt` below FOLDER.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.engine.reference.smoke_corpus import documents, example_for
from apr_leaderboard.engine.reference.smoke_tasks import (
    FAMILIES,
    HELD_OUT,
    Kind,
    Task,
    draw_task,
    family_named,
    is_held_out,
)

__all__ = ["heldout_text", "instruct_rows", "main", "preference_rows", "problems"]

_N_PAIRS: Final = 780
_PAIRS_SEED: Final = 7
_N_PREFERENCES: Final = 160
_PREFERENCES_SEED: Final = 11
_NUMBER_SLIPS: Final = 0.5
"""How often a wrong answer is the right one with another number, where there is a number."""
_HELD_OUT_SEED: Final = 2
_N_HELD_OUT: Final = 160
_REQUEST: Final = (
    "Complete the following Python function. Answer with the whole function, and any imports it needs, "
    "in one Python code block.\n\n```python\n{prompt}\n```"
)
"""How the `standard` prompt profile asks; a test holds the two together."""
_EXAMPLES: Final = {"number": (6,), "pair": (4, 9), "text": ("lemon",), "list": ([3, 8, 5],)}
_CHECKS: Final[dict[Kind, tuple[tuple[object, ...], ...]]] = {
    "number": ((0,), (1,), (2,), (3,), (4,), (5,), (6,), (7,), (8,), (9,), (10,), (12,), (35,), (-4,), (100,)),
    "pair": ((0, 0), (1, 2), (2, 1), (5, 5), (-3, 3), (3, -3), (-8, -2), (17, 40), (100, 1)),
    "text": (("",), ("a",), ("ab",), ("abc",), ("abcd",), ("abcde",), ("river bank",), ("Level 7",)),
    "list": (([],), ([0],), ([5],), ([1, 2, 3],), ([9, 4, 6, 5],), ([-2, 7, 7],), ([10, 20, 30, 40],)),
}


def problems() -> list[dict[str, str]]:
    """The 16 rows of the suite in HumanEval's format."""
    rows = []
    for i, (name, args, k) in enumerate(sorted(HELD_OUT)):
        family = family_named(name)
        task = Task(family, family.verbs[i % 2], args, k, family.phrases[i // 2 % 2])
        rows.append(
            {
                "task_id": f"smoke/{i}",
                "prompt": task.prompt(_EXAMPLES[family.kind]),
                "entry_point": task.entry_point,
                "canonical_solution": f"    return {task.expression}\n",
                "test": _check(task),
            }
        )
    return rows


def _check(task: Task) -> str:
    lines = ["def check(candidate):"]
    for values in _CHECKS[task.family.kind]:
        wanted, call = task(*values), ", ".join(map(repr, values))
        same = "is" if isinstance(wanted, bool) else "=="
        lines.append(f"    assert candidate({call}) {same} {wanted!r}")
    return "\n".join(lines) + "\n"


def instruct_rows() -> list[dict[str, str]]:
    """Pairs of request and answer, none of them a held-out task, no two alike."""
    rng = random.Random(_PAIRS_SEED)
    rows: dict[str, dict[str, str]] = {}
    while len(rows) < _N_PAIRS:
        task = draw_task(rng)
        prompt = task.prompt(example_for(rng, task.family.kind)).strip("\n")
        row = {"instruction": _REQUEST.format(prompt=prompt), "response": f"```python\n{task.function}```"}
        rows.setdefault(f"{task.doc} {task.entry_point}", row)
    return list(rows.values())


def preference_rows() -> list[dict[str, str]]:
    """A request with a right answer and a wrong one: what another family or number would have been, as one slips."""
    rng = random.Random(_PREFERENCES_SEED)
    rows: dict[str, dict[str, str]] = {}
    while len(rows) < _N_PREFERENCES:
        task = draw_task(rng)
        other = _slip(rng, task)
        if is_held_out(other) or not _differ(task, other):
            continue
        prompt = task.prompt(example_for(rng, task.family.kind)).strip("\n")
        chosen, rejected = (f"{task.signature}\n    return {each.expression}\n" for each in (task, other))
        row = {
            "prompt": _REQUEST.format(prompt=prompt),
            "chosen": f"```python\n{chosen}```",
            "rejected": f"```python\n{rejected}```",
        }
        rows.setdefault(f"{task.doc} {task.entry_point}", row)
    return list(rows.values())


def _slip(rng: random.Random, task: Task) -> Task:
    """The task with another number, or taken for one of another family over the same arguments."""
    if task.family.has_constant and rng.random() < _NUMBER_SLIPS:
        return replace(task, k=rng.choice([k for k in range(2, 10) if k != task.k]))
    others = [f for f in FAMILIES if f.kind == task.family.kind and f is not task.family]
    return replace(task, family=rng.choice(others)) if others else task


def _differ(one: Task, other: Task) -> bool:
    return any(one(*values) != other(*values) for values in _CHECKS[one.family.kind])


def heldout_text() -> str:
    """Text of the pretraining corpus's kind that no seed of the smoke model trains on, for measuring perplexity."""
    return "\n".join(documents(_HELD_OUT_SEED, _N_HELD_OUT))


def _jsonl(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main(argv: list[str] | None = None) -> int:
    """Write the four files."""
    (root,) = (Path(word) for word in (sys.argv[1:] if argv is None else argv))
    for name, text in (
        ("suites/smoke.jsonl", _jsonl(problems())),
        ("data/smoke-instruct.jsonl", _jsonl(instruct_rows())),
        ("data/smoke-preferences.jsonl", _jsonl(preference_rows())),
        ("data/smoke-heldout.txt", heldout_text()),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
