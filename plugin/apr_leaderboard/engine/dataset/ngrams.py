"""Runs of words, which is how one text is found in another."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

__all__ = ["Gram", "ngrams", "overlap"]

Gram = tuple[str, ...]

_WORD = re.compile(r"\w+")


def ngrams(text: str, n: int) -> Iterator[Gram]:
    """Every run of n words of the text.

    Words are runs of letters, digits and underscores, in lower case, so layout and punctuation hide nothing.
    """
    words = _WORD.findall(text.lower())
    for start in range(len(words) - n + 1):
        yield tuple(words[start : start + n])


def overlap(text: str, known: Collection[Gram], n: int) -> float | None:
    """The share of the text's distinct n-grams that are `known`; None where it is shorter than n words."""
    grams = set(ngrams(text, n))
    return sum(gram in known for gram in grams) / len(grams) if grams else None
