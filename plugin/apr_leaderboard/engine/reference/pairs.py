"""Instruction and response pairs: read from JSONL, rendered as a chat, cut into padded batches with a loss mask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.chat import ChatRenderer
from apr_leaderboard.engine.reference.jsonl import read_rows
from apr_leaderboard.engine.reference.tokenizer import TextCodec
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.generation import Message, Prompt

__all__ = [
    "Batch",
    "Pair",
    "TokenPairs",
    "batches",
    "n_batches",
    "read_pairs",
    "row_batches",
    "tokenize_pairs",
]

_STEP: Final = 16
"""Rows are padded to a multiple of this many tokens."""


@dataclass(frozen=True)
class Pair:
    """A request and the answer wanted."""

    instruction: str
    response: str


@dataclass(frozen=True)
class TokenPairs:
    """Rows [n, length + 1] of token ids, right-padded, and a mask that is 1 on the tokens that count.

    Those are the tokens of the response, or of all there is; the end token after a response is part of it. `n_cut`
    responses were too long, `n_skipped` pairs had no room for any of theirs.
    """

    tokens: NDArray[np.int32]
    mask: NDArray[np.float32]
    n_cut: int = 0
    n_skipped: int = 0

    @property
    def n_counted(self) -> int:
        """How many tokens an epoch trains on."""
        return int(self.mask[:, 1:].sum())


class Batch(NamedTuple):
    """Inputs [b, t] (int32), the tokens wanted after each (int32), and which of them count (float32).

    NumPy arrays; inside a compiled step JAX's own.
    """

    inputs: Any
    targets: Any
    mask: Any


def read_pairs(path: Path) -> list[Pair]:
    """Pairs of a JSONL file; more keys than `instruction` and `response` are allowed and left alone.

    Raises FileFormatError naming the line.
    """
    return [Pair(row["instruction"], row["response"]) for _, row in read_rows(path, ("instruction", "response"))]


def tokenize_pairs(
    pairs: list[Pair], codec: TextCodec, end_id: int, max_seq_len: int, *, response_only: bool = True
) -> TokenPairs:
    """Each pair through the model's own chat template; the response ends with `end_id`.

    With `response_only` false the tokens of the rendered instruction count as well. Raises RequestError where no pair
    fits `max_seq_len` tokens.
    """
    renderer = ChatRenderer(codec)
    rows, n_cut = [], 0
    for i, pair in enumerate(pairs):
        messages = (Message(role="user", content=pair.instruction),)
        _, prompt = renderer.encode(Prompt(task_id=str(i), messages=messages))
        response = [*codec.encode(pair.response), end_id]
        room = max_seq_len - len(prompt)
        if room < 1:
            continue
        n_cut += len(response) > room
        rows.append((prompt, response[:room]))
    if not rows:
        raise RequestError(f"no pair fits max_seq_len: got {max_seq_len}, and every instruction is as long or longer")
    longest = max(len(prompt) + len(response) for prompt, response in rows)
    length = min(-(-longest // _STEP) * _STEP, max_seq_len)
    tokens = np.full((len(rows), length + 1), end_id, np.int32)
    mask = np.zeros((len(rows), length + 1), np.float32)
    for i, (prompt, response) in enumerate(rows):
        end = len(prompt) + len(response)
        tokens[i, :end] = prompt + response
        mask[i, len(prompt) if response_only else 0 : end] = 1.0
    return TokenPairs(tokens, mask, n_cut, len(pairs) - len(rows))


def n_batches(pairs: TokenPairs, batch_size: int) -> int:
    """Batches of an epoch."""
    return -(-len(pairs.tokens) // batch_size)


def row_batches(n: int, batch_size: int, seed: int | None, epoch: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Row numbers below `n`, each once, and how many more would fill the batch.

    Shuffled by seed and epoch, or in order where there is no seed.
    """
    order = np.arange(n) if seed is None else np.random.default_rng([seed, epoch]).permutation(n)
    for start in range(0, n, batch_size):
        rows = order[start : start + batch_size]
        yield rows, batch_size - len(rows)


def batches(pairs: TokenPairs, batch_size: int, seed: int, epoch: int) -> Iterator[tuple[Batch, int]]:
    """All rows once with the tokens in each batch, shuffled by seed and epoch.

    The last batch is filled up with rows that do not count.
    """
    for rows, spare in row_batches(len(pairs.tokens), batch_size, seed, epoch):
        tokens = np.pad(pairs.tokens[rows], ((0, spare), (0, 0)))
        mask = np.pad(pairs.mask[rows], ((0, spare), (0, 0)))
        yield Batch(tokens[:, :-1], tokens[:, 1:], mask[:, 1:]), tokens[:, 1:].size
