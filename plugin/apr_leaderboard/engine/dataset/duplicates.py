"""Samples that are there already: the same text, or nearly.

Nearly means a Jaccard index of the two texts' sets of 3-token runs (Broder 1997) of at least 0.85. A token is a word or
a mark: `a + b` and `a - b` differ. No pair is missed: two sets this alike share one of their rarest members, so
only those are looked up (prefix filtering, Bayardo et al. 2007), and the index is counted exactly.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

__all__ = ["NEAR", "exact_duplicates", "near_duplicates"]

NEAR: Final = 0.85
_RUN: Final = 3
_TOKEN: Final = re.compile(r"\w+|[^\w\s]")

_Shingle = tuple[str, ...]


def exact_duplicates(texts: Sequence[str]) -> dict[int, int]:
    """Position of each text that stands earlier too -> where it stands first."""
    first: dict[str, int] = {}
    return {at: first[text] for at, text in enumerate(texts) if first.setdefault(text, at) != at}


def near_duplicates(texts: Sequence[str], threshold: float = NEAR) -> dict[int, int]:
    """Position of each text that is nearly one of those kept before it -> which; exact duplicates are among them.

    `threshold` is in (0, 1].
    """
    sets = [_shingles(text) for text in texts]
    seen = Counter(shingle for shingles in sets for shingle in shingles)
    kept_by: dict[_Shingle, list[int]] = defaultdict(list)
    found: dict[int, int] = {}
    for at, shingles in enumerate(sets):
        rarest = sorted(shingles, key=lambda shingle: (seen[shingle], shingle))
        prefix = rarest[: len(rarest) - math.ceil(threshold * len(rarest)) + 1]
        others = sorted({other for shingle in prefix for other in kept_by[shingle]})
        alike = next((other for other in others if _jaccard(shingles, sets[other]) >= threshold), None)
        if alike is not None:
            found[at] = alike
            continue
        for shingle in prefix:
            kept_by[shingle].append(at)
    return found


def _shingles(text: str) -> frozenset[_Shingle]:
    tokens = tuple(_TOKEN.findall(text.lower()))
    runs = frozenset(tokens[start : start + _RUN] for start in range(len(tokens) - _RUN + 1))
    return runs or frozenset({tokens})


def _jaccard(one: frozenset[_Shingle], other: frozenset[_Shingle]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
