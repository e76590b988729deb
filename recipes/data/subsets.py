"""Makes the other data of the smoke profile from smoke-instruct.jsonl and the smoke suite; see README.md.

    python recipes/data/subsets.py [FOLDER]

Writes smoke-specialist-a.jsonl, smoke-specialist-b.jsonl, smoke-subset.jsonl and raw/smoke-raw.jsonl into FOLDER, by
default this script's own.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Final

from apr_leaderboard.engine.reference.smoke_tasks import FAMILIES

_HERE: Final = Path(__file__).resolve().parent
_N_SUBSET: Final = 200
_N_RAW: Final = 640
_N_TWICE: Final = 40
_N_BROKEN: Final = 24
_SEED: Final = 11

Row = dict[str, str]


def main(argv: list[str] | None = None) -> int:
    """Write the four files."""
    folder = Path(*(sys.argv[1:] if argv is None else argv) or [_HERE])
    for name, rows in subsets().items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return 0


def subsets() -> dict[str, list[Row]]:
    """The rows of each file by its name; what must be cleaned before anyone trains on it lies in raw/."""
    rows = _read(_HERE / "smoke-instruct.jsonl")
    numbers = [row for row in rows if _kind(row) == "number"]
    others = [row for row in rows if _kind(row) != "number"]
    return {
        "smoke-specialist-a": numbers,
        "smoke-specialist-b": others,
        "smoke-subset": rows[:_N_SUBSET],
        "raw/smoke-raw": _raw(rows[:_N_RAW]),
    }


def _kind(row: Row) -> str:
    """Which kind of arguments the row's function takes, told by the verb its name begins with."""
    verb = row["instruction"].partition("def ")[2].partition("_")[0]
    return next(family.kind for family in FAMILIES if verb in family.verbs)


def _raw(clean: list[Row]) -> list[Row]:
    """Clean rows, with what a cleaning must find: rows again, the suite's problems themselves, and broken answers."""
    twice = [dict(row) for row in clean[:_N_TWICE]]
    leaked = [
        {"instruction": problem["prompt"], "response": problem["prompt"] + problem["canonical_solution"]}
        for problem in _read(_HERE.parent / "suites" / "smoke.jsonl")
    ]
    broken = [{**row, "response": "def ("} for row in clean[-_N_BROKEN:]]
    rows = [*clean[:-_N_BROKEN], *twice, *leaked, *broken]
    random.Random(_SEED).shuffle(rows)
    return rows


def _read(file: Path) -> list[Row]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    sys.exit(main())
