"""Which token stands in which column of a decoding step, and what a step's columns come to.

A step always computes `WIDTH` columns. One answer needs one of them for its next token; where fewer answers are being
written than there are columns, the rest would be empty, and take drafted tokens instead: column j of an answer reads
its j-th drafted token, on the assumption that those before it are right. All are checked in that one pass (Leviathan et
al. 2023, section 2.3; Chen et al. 2023, algorithm 2), which costs what it would have cost without them.

A drafted token is kept only where the model chooses that very token: its most probable one, or at a temperature above
0 the one that the sample's own number draws from the model's distribution. So an answer is the same with and without
drafts, token by token, at every temperature. (The rejection sampling of both papers keeps only the distribution; for a
draft that is certain of its token, it keeps as many.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.cache import WIDTH

__all__ = ["NO_DRAFTS", "Columns", "Reading", "checked", "lay_out", "share_columns"]

NO_DRAFTS: Final[Sequence[Sequence[int]]] = ((),) * WIDTH
_OWN: Final = np.arange(WIDTH, dtype=np.int32)


class Reading(Protocol):
    """What one answer reads in a step: its last `token` at `position`."""

    token: int
    position: int


class Columns(NamedTuple):
    """A step's columns: tokens, positions and owners (which slot of the cache), each int32 [WIDTH].

    `starts` holds the first column of each slot; `drafted` is whether any column holds a draft. Without, column i is
    slot i.
    """

    tokens: NDArray[np.int32]
    positions: NDArray[np.int32]
    owners: NDArray[np.int32]
    starts: Sequence[int]
    drafted: bool


def share_columns(wanted: Sequence[int], free: int) -> list[int]:
    """How many of the `free` columns each answer gets of those it `wanted`: one in turn, as later ones help less."""
    given = [0] * len(wanted)
    while free > 0 and any(got < most for got, most in zip(given, wanted, strict=True)):
        for i, most in enumerate(wanted):
            if given[i] < most and free > 0:
                given[i] += 1
                free -= 1
    return given


def lay_out(slots: Sequence[Reading | None], drafts: Sequence[Sequence[int]] = NO_DRAFTS) -> Columns:
    """Columns for `WIDTH` slots, and for what is drafted after each; there must be an empty slot for each draft.

    What is left over computes at position 0 of an empty slot, each of its own, and is not looked at.
    """
    if not any(drafts):
        tokens = np.array([slot.token if slot else 0 for slot in slots], np.int32)
        positions = np.array([slot.position if slot else 0 for slot in slots], np.int32)
        return Columns(tokens, positions, _OWN, range(WIDTH), drafted=False)
    tokens, positions = np.zeros(WIDTH, np.int32), np.zeros(WIDTH, np.int32)
    owners, starts, column = _OWN.copy(), list(range(WIDTH)), 0
    for i, (slot, draft) in enumerate(zip(slots, drafts, strict=True)):
        if slot is None:
            continue
        end = column + 1 + len(draft)
        tokens[column:end] = [slot.token, *draft]
        positions[column:end] = np.arange(slot.position, slot.position + end - column)
        owners[column:end] = i
        starts[i], column = column, end
    empty = [i for i, slot in enumerate(slots) if slot is None]
    owners[column:] = empty[: WIDTH - column]
    return Columns(tokens, positions, owners, starts, drafted=True)


def checked(draft: Sequence[int], choose: Callable[[int], int]) -> list[int]:
    """The tokens a step comes to: `choose(j)` is the model's own after j drafted tokens, kept while the draft agrees.

    At least one token, at most one more than were drafted.
    """
    taken: list[int] = []
    for ahead in range(len(draft) + 1):
        taken.append(choose(ahead))
        if ahead == len(draft) or taken[-1] != draft[ahead]:
            break
    return taken
