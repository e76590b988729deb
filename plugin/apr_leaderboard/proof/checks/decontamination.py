"""n-gram overlap: every pair of short texts over two words, and the training data the recipes use."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final

from apr_leaderboard.bench import Contamination, contamination_of
from apr_leaderboard.errors import RequestError
from apr_leaderboard.pipeline.evaluation import EvaluationMaker
from apr_leaderboard.proof.check import expect, measured, proved
from apr_leaderboard.proof.lab import Lab

__all__ = ["CHECKS", "training_texts"]

Count = Callable[..., Contamination]

_LONGEST: Final = 5
_THRESHOLDS: Final = tuple(share / 12 for share in range(1, 13))
"""Every share that texts this short can have, and some between."""


@cache
def _texts() -> tuple[str, ...]:
    return tuple(" ".join(words) for length in range(_LONGEST + 1) for words in product("ab", repeat=length))


def shares_are_shares(count: Count) -> str:
    """0 <= overlap <= 1, and it is the share of the problem's own n-grams, from the definition."""
    for n in (1, 2, 3):
        grams = {text: _grams(text, n) for text in _texts()}
        for document in _texts():
            found = count({text: text for text in _texts()}, [document], n=n, threshold=0.5).overlap
            for text, own in grams.items():
                want = Fraction(len(own & grams[document]), len(own)) if own else None
                got = found[text]
                same = got is None if want is None else got is not None and abs(got - float(want)) < 1e-10
                expect(same, f"n = {n}: {text!r} in {document!r} is {got}, by definition {want}")
    return f"every pair of {len(_texts())} texts over two words, n = 1, 2, 3"


def higher_thresholds_flag_no_more(count: Count) -> str:
    """t1 < t2 implies rate(t1) >= rate(t2), and what t2 flags t1 flags too."""
    problems = {text: text for text in _texts()}
    for document in _texts():
        last: set[str] | None = None
        for threshold in _THRESHOLDS:
            flagged = set(count(problems, [document], n=2, threshold=threshold).flagged)
            expect(last is None or flagged <= last, f"{document!r}: {threshold:.2f} flags more than the one below")
            last = flagged
    return f"every pair of {len(_texts())} texts over two words, {len(_THRESHOLDS)} thresholds, n = 2"


def training_data_is_clean(plant: Callable[[list[str], list[str]], list[str]], lab: Lab) -> str:
    """Fewer than 1 % of each benchmark's problems share half their 10-grams with the recipes' training data."""
    corpus, files = training_texts(lab.root)
    said = []
    for name, problems in _benchmarks(lab).items():
        found = contamination_of(problems, plant(corpus, list(problems.values())), n=10, threshold=0.5)
        rate = found.rate
        expect(rate is not None, f"{name}: no problem is long enough to say")
        words = f"{name}: {len(found.flagged)} of {found.measured}"
        expect(rate is not None and rate < 0.01, f"{words} problems stand in the training data")
        said.append(words)
    return f"{files} files, {len(corpus)} samples; {', '.join(said)}"


def training_texts(root: Path) -> tuple[list[str], int]:
    """Every training sample of recipes/data, and the number of files. Raises `RequestError` where there is none."""
    files = sorted((root / "recipes" / "data").glob("*.jsonl"))
    if not files:
        raise RequestError(f"{root / 'recipes' / 'data'}: holds no training data; allowed: JSON Lines files")
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines() if line]
    return ["\n".join(str(value) for value in row.values()) for row in rows], len(files)


def _benchmarks(lab: Lab) -> Mapping[str, dict[str, str]]:
    """HumanEval, and the suite's own problems."""
    # A maker of its own: all problems, whatever the user said of data and limits.
    make = EvaluationMaker(lab.root, lab.workbench.sources)
    return {
        name: {problem.task_id: problem.prompt for problem in make.problems(name)} for name in ("humaneval", "smoke")
    }


def _grams(text: str, n: int) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def _by_the_corpus(problems: Mapping[str, str], corpus: list[str], n: int, threshold: float) -> Contamination:
    grams = {task: _grams(text, n) for task, text in problems.items()}
    held = _grams(corpus[0], n)
    shares = {task: len(own & held) / max(1, len(held)) if own else None for task, own in grams.items()}
    return Contamination(shares, threshold, n)


class _Upside(Contamination):
    @property
    def flagged(self) -> tuple[str, ...]:
        return tuple(task for task, share in self.overlap.items() if share is not None and share <= self.threshold)


def _upside(problems: Mapping[str, str], corpus: list[str], n: int, threshold: float) -> Contamination:
    return _Upside(contamination_of(problems, corpus, n, threshold).overlap, threshold, n)


CHECKS: Final = (
    proved("FALSIFY-DECON-001", shares_are_shares, contamination_of, _by_the_corpus),
    proved("FALSIFY-DECON-002", higher_thresholds_flag_no_more, contamination_of, _upside),
    measured(
        "FALSIFY-DECON-003",
        training_data_is_clean,
        lambda corpus, problems: corpus,
        lambda corpus, problems: [*corpus, *problems[: len(problems) // 50 + 1]],
    ),
)
