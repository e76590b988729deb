"""What every peer's operation does around its decoder: its flags checked, answers said as they come, progress told."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Sequence

from .lines import Answer, RenderedPrompt, say

__all__ = ["Watch", "positive", "say_answers", "tokenised_otherwise"]

_SECONDS_BETWEEN_REPORTS = 1.0


def positive(text: str) -> int:
    """A flag's value; argparse's own error for what is no whole number over 0."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}; accepted: a whole number over 0")
    return number


class Watch:
    """Reports progress at most once a second; `answered` counts what was said."""

    def __init__(self, total: int) -> None:
        self.answered = 0
        self._total = total
        self._next = 0.0

    def step(self, n_tokens: int, seconds: float) -> None:
        """So many tokens were written so far, in that much time of the decoder's own."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _SECONDS_BETWEEN_REPORTS
        told = {"what": "answering", "done": self.answered, "total": self._total, "unit": "prompts"}
        say("progress", {**told, "note": f"{n_tokens / seconds:.1f} tokens/s"})


def say_answers(answers: Iterable[Answer], watch: Watch, *, with_tokens: bool) -> float:
    """Say each answer as it ends; the seconds all of it took. `with_tokens` adds the answer's token ids."""
    started = time.perf_counter()
    for answer in answers:
        say("completion", answer.completion() | ({"tokens": answer.tokens} if with_tokens else {}))
        watch.answered += 1
    return time.perf_counter() - started


def tokenised_otherwise(pairs: Sequence[tuple[RenderedPrompt, list[int]]]) -> int:
    """How many prompts are other tokens to the peer than the suite said they are, of those it said it of."""
    return sum(prompt.ids is not None and prompt.ids != tuple(ids) for prompt, ids in pairs)
