"""Training data looked at by this side: what it shares with the benchmarks, and how good it is."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine.dataset import Row, near_duplicates, quality_of
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.pipeline.evaluation import EvaluationMaker

__all__ = ["contaminated", "problem_texts", "quality_scores", "training_files"]

_WORD: Final = re.compile(r"\w+")
_FENCE: Final = re.compile(r"^```", re.MULTILINE)
_RUN: Final = 10
_THRESHOLD: Final = 0.5

Rows = list[dict[str, Any]]


def training_files(trial: Trial) -> dict[str, Rows]:
    """Every dataset that the recipes train on, by its file's name; of preferences what is to be preferred."""
    found = {}
    for file in sorted((trial.root / "recipes" / "data").glob("*.jsonl")):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        if rows and "chosen" in rows[0]:
            rows = [{"instruction": row["prompt"], "response": row["chosen"]} for row in rows]
        if rows and "response" in rows[0]:
            found[file.name] = rows
    if not found:
        raise HarnessError(f"{trial.root / 'recipes' / 'data'}: no training data")
    return found


def problem_texts(trial: Trial) -> list[str]:
    """HumanEval's prompts with their reference solutions: all, whatever the user said of data and limits."""
    problems = EvaluationMaker(trial.root, trial.workbench.sources).problems("humaneval")
    return [problem.canonical or problem.prompt for problem in problems]


def contaminated(rows: Rows, problems: list[str]) -> int:
    """How many samples share half of their runs of ten words, or more, with one problem."""
    known = [_runs(text) for text in problems]
    count = 0
    for row in rows:
        own = _runs(f"{row['instruction']}\n{row['response']}")
        count += any(len(own & other) >= _THRESHOLD * len(own) for other in known) if own else 0
    return count


def quality_scores(rows: Rows) -> list[float]:
    """Each sample's score from 0 to 100; see `apr_leaderboard.engine.dataset.quality` for the formula.

    An answer that ends inside a fence is read as if the fence were closed there: what was cut off is code, not prose.
    """
    whole = [{**row, "response": _closed(row["response"])} for row in rows]
    read = [Row(json.dumps(row), row) for row in whole]
    again = near_duplicates([row.text for row in read])
    return [quality_of(row, duplicate=index in again).score for index, row in enumerate(read)]


def _closed(answer: str) -> str:
    return answer if len(_FENCE.findall(answer)) % 2 == 0 else f"{answer}\n```\n"


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return {tuple(words[start : start + _RUN]) for start in range(len(words) - _RUN + 1)}
