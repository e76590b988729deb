"""The recipes' training data, sample by sample."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from typing import Final

from apr_leaderboard.errors import RequestError
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.checks.decontamination import training_data_is_clean
from apr_leaderboard.proof.lab import Lab

__all__ = ["CHECKS"]

Row = dict[str, str]
Change = Callable[[list[Row]], list[Row]]

_CODE: Final = re.compile(r"```(?:python)?\n(.*?)```", re.DOTALL)
_SHORTEST: Final = 10


def quality(row: Row) -> float:
    """25 each for three words asked, ten characters answered, code in the answer, and code that parses."""
    found = _CODE.findall(row["response"])
    code = found[0] if found else row["response"]
    points = [len(row["instruction"].split()) >= 3, len(row["response"]) >= _SHORTEST, bool(found) or "def " in code]
    try:
        ast.parse(code)
    except (SyntaxError, ValueError):
        points.append(False)
    else:
        points.append(True)
    return 25.0 * sum(points)


def score_is_eighty(change: Change, lab: Lab) -> str:
    """The mean over all samples is 80 or more."""
    rows = change(_rows(lab))
    mean = sum(map(quality, rows)) / len(rows)
    expect(mean >= 80, f"{mean:.1f} of 100")
    return f"{len(rows)} samples, {mean:.1f} of 100"


def instructions_are_unique(change: Change, lab: Lab) -> str:
    """No instruction comes twice in one file; a subset of a file repeats it by its nature."""
    rows = change(_rows(lab))
    unique = {(row["file"], row["instruction"]) for row in rows}
    expect(len(unique) == len(rows), f"{len(rows) - len(unique)} of {len(rows)} instructions come again")
    return f"{len(rows)} instructions"


def samples_are_whole(change: Change, lab: Lab) -> str:
    """Every sample has an instruction and a response of at least ten characters."""
    rows = change(_rows(lab))
    bad = [i for i, row in enumerate(rows) if not row["instruction"] or len(row["response"]) < _SHORTEST]
    expect(not bad, f"{len(bad)} samples, the first is {bad[0] if bad else 0}")
    return f"{len(rows)} samples"


def _rows(lab: Lab) -> list[Row]:
    """Every row of every file of instructions; what a row lacks is empty. Files of preferences have no instruction."""
    rows = []
    for file in sorted((lab.root / "recipes" / "data").glob("*.jsonl")):
        own = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
        if any(row.keys() & {"instruction", "response"} for row in own):
            rows += [{"instruction": "", "response": "", **row, "file": file.name} for row in own]
    if not rows:
        raise RequestError(f"{lab.root / 'recipes' / 'data'}: no instruction and response; allowed: JSON Lines of both")
    return rows


def _same(rows: list[Row]) -> list[Row]:
    return rows


def _cut(rows: list[Row]) -> list[Row]:
    return [{**row, "response": row["response"][: len(row["response"]) // 3]} for row in rows]


CHECKS: Final = (
    measured("FALSIFY-DQLTY-001", score_is_eighty, _same, _cut),
    measured("FALSIFY-DQLTY-002", instructions_are_unique, _same, lambda rows: [*rows, rows[0]]),
    measured("FALSIFY-DQLTY-003", samples_are_whole, _same, lambda rows: [*rows, {**rows[0], "response": "pass"}]),
    measured(
        "FALSIFY-DQLTY-004",
        training_data_is_clean,
        lambda corpus, problems: corpus,
        lambda corpus, problems: [*corpus, *problems[: len(problems) // 50 + 1]],
    ),
)
