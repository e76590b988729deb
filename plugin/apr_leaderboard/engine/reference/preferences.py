"""Preference pairs: a prompt with an answer that is wanted and one that is not, as tokens and as batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.jsonl import read_rows
from apr_leaderboard.engine.reference.pairs import Batch, Pair, TokenPairs, row_batches, tokenize_pairs
from apr_leaderboard.engine.reference.tokenizer import TextCodec
from apr_leaderboard.errors import FileFormatError

__all__ = [
    "Preference",
    "PreferenceBatch",
    "TokenPreferences",
    "preference_batches",
    "read_preferences",
    "tokenize_preferences",
]

_KEYS = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Preference:
    """A request, the answer preferred and the other."""

    prompt: str
    chosen: str
    rejected: str


@dataclass(frozen=True)
class TokenPreferences:
    """Row i of `chosen` and of `rejected` answer the same prompt; both are [n, length + 1].

    `reference` [2, n] holds log P(y | x) under the reference model, chosen first; zeros where there is none.
    """

    chosen: TokenPairs
    rejected: TokenPairs
    reference: NDArray[np.float32]

    def with_reference(self, values: NDArray[np.float32]) -> TokenPreferences:
        """The same rows beside a reference."""
        return replace(self, reference=values)


class PreferenceBatch(NamedTuple):
    """Rows [2b, t], the b chosen first; `reference` [2b]; `counts` [b] is 0 for a row that only fills the batch."""

    rows: Batch
    reference: Any
    counts: Any


def read_preferences(path: Path) -> list[Preference]:
    """Preferences of a JSONL file; more keys are allowed and left alone.

    Raises FileFormatError naming the line; also where chosen and rejected are the same, which teaches nothing.
    """
    rows = []
    for number, row in read_rows(path, _KEYS):
        if row["chosen"] == row["rejected"]:
            got = f"is chosen and rejected alike: {row['chosen'][:40]!r}"
            raise FileFormatError(path, "rejected", got, allowed="another answer", line=number, column=1)
        rows.append(Preference(*(row[key] for key in _KEYS)))
    return rows


def tokenize_preferences(
    preferences: list[Preference], codec: TextCodec, end_id: int, max_seq_len: int
) -> TokenPreferences:
    """Each prompt through the model's chat template, beside either answer, padded to one length.

    Raises RequestError where no prompt leaves room for an answer.
    """
    wanted = [Pair(p.prompt, p.chosen) for p in preferences]
    other = [Pair(p.prompt, p.rejected) for p in preferences]
    both = tokenize_pairs([*wanted, *other], codec, end_id, max_seq_len)
    half = len(both.tokens) // 2  # a prompt without room is left out of both halves
    parts = [
        TokenPairs(both.tokens[cut], both.mask[cut], both.n_cut, both.n_skipped // 2)
        for cut in (slice(half), slice(half, None))
    ]
    return TokenPreferences(parts[0], parts[1], np.zeros((2, half), np.float32))


def preference_batches(
    data: TokenPreferences, batch_size: int, seed: int | None, epoch: int
) -> Iterator[tuple[PreferenceBatch, int]]:
    """All pairs once, with the tokens in each batch; shuffled by seed and epoch, or in order where there is no seed."""
    n = len(data.chosen.tokens)
    for rows, spare in row_batches(n, batch_size, seed, epoch):
        tokens, mask = (
            np.concatenate([np.pad(part[rows], ((0, spare), (0, 0))) for part in parts])
            for parts in ((data.chosen.tokens, data.rejected.tokens), (data.chosen.mask, data.rejected.mask))
        )
        reference = np.pad(data.reference[:, rows], ((0, 0), (0, spare))).reshape(-1)
        counts = np.pad(np.ones(len(rows), np.float32), (0, spare))
        yield PreferenceBatch(Batch(tokens[:, :-1], tokens[:, 1:], mask[:, 1:]), reference, counts), tokens[:, 1:].size
