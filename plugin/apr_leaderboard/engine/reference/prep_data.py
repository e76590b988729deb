"""The steps of cleaning a dataset, each a pure function of its rows; which samples stay never depends on their order
in anything but time: the earlier of two alike stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

import numpy as np

from apr_leaderboard.engine.dataset import (
    Row,
    exact_duplicates,
    near_duplicates,
    ngrams,
    overlap,
    quality_of,
)
from apr_leaderboard.errors import RequestError

__all__ = ["Step", "Wishes", "audit", "balance", "decontaminate", "dedup", "quality", "split"]

Figures = dict[str, float | int | str | bool]


@dataclass(frozen=True)
class Wishes:
    """What the steps are told; see `PrepDataParams`. `against` holds the benchmarks' rows."""

    against: tuple[Row, ...] = ()
    ngram: int = 10
    overlap: float = 0.5
    min_quality: float = 50.0
    balance_by: str = "category"
    held_out: float = 0.1
    seed: int = 0


class Step(NamedTuple):
    """What a step leaves: the rows that stay, figures, and for split the rows that were put aside."""

    rows: list[Row]
    figures: Figures
    aside: tuple[Row, ...] = ()


def audit(rows: Sequence[Row], wishes: Wishes) -> Step:
    """Look, and change nothing: duplicates, empty answers, lengths in words, the share of code that parses."""
    del wishes
    qualities = [quality_of(row, duplicate=False) for row in rows]
    parses = [quality.parses for quality in qualities if quality.parses is not None]
    answers = [len(row.answer.split()) for row in rows]
    figures: Figures = {
        "audit_samples": len(rows),
        "audit_exact_duplicates": len(exact_duplicates([row.content for row in rows])),
        "audit_near_duplicates": len(near_duplicates([row.text for row in rows])),
        "audit_without_answer": sum(not n for n in answers),
        "audit_mean_words_asked": fmean(len(row.question.split()) for row in rows),
        "audit_mean_words_answered": fmean(answers),
        "audit_longest_answer": max(answers),
    }
    if parses:
        figures["audit_share_parses"] = fmean(parses)
    return Step(list(rows), figures)


def dedup(rows: Sequence[Row], wishes: Wishes) -> Step:
    """Drop what stands before, or nearly; see `engine.dataset.duplicates` for how near that is."""
    del wishes
    exact = exact_duplicates([row.content for row in rows])
    near = near_duplicates([row.text for row in rows])
    gone = exact.keys() | near.keys()
    kept = [row for at, row in enumerate(rows) if at not in gone]
    return Step(kept, {"n_exact_duplicates": len(exact), "n_near_duplicates": len(gone) - len(exact)})


def decontaminate(rows: Sequence[Row], wishes: Wishes) -> Step:
    """Drop samples of which a share of `overlap` or more stands in the benchmarks, counted in runs of `ngram` words.

    Samples of fewer words have no such run and stay; they are counted as `n_too_short`.
    """
    if not wishes.against:
        raise RequestError("decontaminate: got no benchmark to look in; allowed: one or more in against")
    known = {gram for row in wishes.against for gram in ngrams(row.text, wishes.ngram)}
    shares = [overlap(row.text, known, wishes.ngram) for row in rows]
    kept = [row for row, share in zip(rows, shares, strict=True) if share is None or share < wishes.overlap]
    figures: Figures = {
        "n_too_short": sum(share is None for share in shares),
        "largest_overlap": max((share for share in shares if share is not None), default=0.0),
    }
    return Step(kept, figures)


def quality(rows: Sequence[Row], wishes: Wishes) -> Step:
    """Drop samples that score below `min_quality`; see `engine.dataset.quality` for the score."""
    near = near_duplicates([row.text for row in rows])
    scores = [quality_of(row, duplicate=at in near).score for at, row in enumerate(rows)]
    kept = [row for row, score in zip(rows, scores, strict=True) if score >= wishes.min_quality]
    return Step(kept, {"mean_quality": fmean(scores), "lowest_quality": min(scores)})


def balance(rows: Sequence[Row], wishes: Wishes) -> Step:
    """As many samples of each value of `balance_by` as the rarest has, chosen by the seed; nothing is repeated."""
    values = [str(row.values[wishes.balance_by]) for row in rows if wishes.balance_by in row.values]
    if len(values) < len(rows):
        raise RequestError(
            f"balance_by: got {wishes.balance_by!r}, which {len(rows) - len(values)} of {len(rows)} samples lack"
            f"; allowed: a key of all of them, such as {', '.join(sorted(rows[0].values)[:5])}"
        )
    smallest = min(Counter(values).values())
    generator = np.random.default_rng(wishes.seed)
    chosen: list[int] = []
    for value in sorted(set(values)):
        places = [at for at, other in enumerate(values) if other == value]
        chosen += [places[i] for i in generator.choice(len(places), smallest, replace=False)]
    return Step([rows[at] for at in sorted(chosen)], {"n_classes": len(set(values)), "n_per_class": smallest})


def split(rows: Sequence[Row], wishes: Wishes) -> Step:
    """Put a share of `held_out` aside, chosen by the seed: at least one sample, never all."""
    if len(rows) < 2:
        raise RequestError(f"split: got {len(rows)} sample; allowed: two or more")
    n_aside = min(max(1, round(wishes.held_out * len(rows))), len(rows) - 1)
    aside = set(np.random.default_rng(wishes.seed).permutation(len(rows))[:n_aside].tolist())
    kept = [row for at, row in enumerate(rows) if at not in aside]
    return Step(kept, {"n_held_out": n_aside}, tuple(rows[at] for at in sorted(aside)))
