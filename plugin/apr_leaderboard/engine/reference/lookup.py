"""Drafts without a model: what followed the same tokens when they stood in the prompt or the answer before.

Prompt lookup (Saxena 2023, "Prompt Lookup Decoding"; `prompt_lookup_num_tokens` in transformers): answers about code
repeat names and lines of what they were asked, so the next tokens can often be read off. A draft costs no pass through
any model, and is only a guess: the model checks it (see `columns.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["LONGEST", "Lookup"]

LONGEST: Final = 4
"""Most tokens that are looked up together. On HumanEval, four gave more tokens a pass than two or three."""


class Lookup:
    """The tokens of one prompt and its answer so far, by what stands before each."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids: list[int] = []
        self._next: dict[tuple[int, ...], int] = {}
        for token in ids:
            self.add(token)

    def add(self, token: int) -> None:
        """Append a token. Of equal runs before it the earliest counts, which is most often the prompt's."""
        end = len(self._ids)
        for size in range(1, min(LONGEST, end) + 1):
            self._next.setdefault(tuple(self._ids[end - size :]), end)
        self._ids.append(token)

    def propose(self, most: int) -> list[int]:
        """Up to `most` tokens that followed the longest run that now ends the text; none where nothing recurs."""
        end = len(self._ids)
        for size in range(min(LONGEST, end), 0, -1):
            found = self._next.get(tuple(self._ids[end - size :]))
            if found is not None:
                return self._ids[found : found + most]
        return []
