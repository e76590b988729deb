"""How much of a benchmark stands in a training set: shared runs of words, problem by problem."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from apr_leaderboard.engine.dataset import ngrams
from apr_leaderboard.errors import RequestError

__all__ = ["Contamination", "contamination_of", "ngrams"]


@dataclass(frozen=True)
class Contamination:
    """Per problem, the share of its n-grams that the corpus holds (None: it is shorter than n words, not measured)."""

    overlap: Mapping[str, float | None]
    threshold: float
    n: int

    @property
    def flagged(self) -> tuple[str, ...]:
        """Problems at or above the threshold, in the order given."""
        return tuple(task for task, share in self.overlap.items() if share is not None and share >= self.threshold)

    @property
    def measured(self) -> int:
        """How many problems are long enough to say."""
        return sum(share is not None for share in self.overlap.values())

    @property
    def rate(self) -> float | None:
        """Flagged of measured; None where nothing could be measured."""
        return len(self.flagged) / self.measured if self.measured else None

    @property
    def clean(self) -> tuple[str, ...]:
        """Problems measured and below the threshold: a score on these is free of what was found."""
        flagged = set(self.flagged)
        return tuple(task for task, share in self.overlap.items() if share is not None and task not in flagged)


def contamination_of(
    problems: Mapping[str, str], corpus: Iterable[str], n: int = 10, threshold: float = 0.5
) -> Contamination:
    """Compare problem texts (task id to text) with training documents, read once and one at a time.

    Words are runs of letters, digits and underscores, in lower case, so layout and punctuation hide nothing. Memory
    holds the problems' n-grams, never the corpus. Raises `RequestError` unless n >= 1 and 0 < threshold <= 1.
    """
    if n < 1 or not 0 < threshold <= 1:
        raise RequestError(f"n-grams of {n} words, threshold {threshold}; allowed: n >= 1, 0 < threshold <= 1")
    wanted = {task: frozenset(ngrams(text, n)) for task, text in problems.items()}
    looked_for = frozenset().union(*wanted.values())
    seen: set[tuple[str, ...]] = set()
    for document in corpus:
        seen.update(gram for gram in ngrams(document, n) if gram in looked_for)
    overlap = {task: len(grams & seen) / len(grams) if grams else None for task, grams in wanted.items()}
    return Contamination(overlap, threshold, n)
