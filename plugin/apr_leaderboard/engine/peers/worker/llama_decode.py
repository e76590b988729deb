"""Decoding with llama.cpp in parallel slots: each slot is a sequence, refilled as soon as its answer has ended."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import llama_cpp

from .lines import Answer, Decoding, RenderedPrompt, WorkerError
from .llama_model import LlamaModel
from .text import GrowingText

__all__ = ["LlamaDecoder", "Times"]


@dataclass
class Times:
    """Seconds and token counts; `steps` are calls of llama_decode."""

    decode: float = 0.0
    n_prompt: int = 0
    n_tokens: int = 0
    steps: int = 0


@dataclass
class _Slot:
    prompt: RenderedPrompt
    ids: list[int]
    text: GrowingText
    sampler: Any
    tokens: list[int] = field(default_factory=list)
    finish: str = ""

    @property
    def pending(self) -> list[int]:
        """What the model has not read yet: the whole prompt, later the last token."""
        return self.tokens[-1:] or self.ids

    @property
    def position(self) -> int:
        """Where the first pending token goes."""
        return len(self.ids) + len(self.tokens) - 1 if self.tokens else 0


@dataclass
class LlamaDecoder:
    """Answers prompts in `slots` sequences at once."""

    model: LlamaModel
    decoding: Decoding
    slots: int
    times: Times = field(default_factory=Times)

    def run(
        self, prompts: Sequence[tuple[RenderedPrompt, list[int]]], on_step: Callable[[Times], None] | None = None
    ) -> Iterator[Answer]:
        """Yield each answer when it ends; a prompt that leaves no position for an answer is given back empty.

        Raises WorkerError (exit 5) before the first answer where a prompt is longer than a batch.
        """
        fitting = [(prompt, ids) for prompt, ids in prompts if len(ids) < self.model.room]
        if any(len(ids) > self.model.n_batch for _, ids in fitting):
            raise WorkerError(f"a prompt is longer than llama.cpp's batch of {self.model.n_batch} tokens", 5)
        for prompt, ids in prompts:
            if len(ids) >= self.model.room:
                yield Answer(prompt, "", [], len(ids), "context")
        waiting = deque(sorted(fitting, key=lambda pair: (-len(pair[1]), pair[0].task_id, pair[0].sample)))
        slots: list[_Slot | None] = [None] * self.slots
        batch = llama_cpp.llama_batch_init(self.model.n_batch, 0, 1)
        try:
            while waiting or any(slots):
                for place, slot in enumerate(slots):
                    if slot is None and waiting:
                        slots[place] = self._open(place, *waiting.popleft())
                for place in self._step(batch, slots):
                    slot = slots[place]
                    if slot is not None and slot.finish:
                        yield Answer(slot.prompt, slot.text.text(), slot.tokens, len(slot.ids), slot.finish)
                        llama_cpp.llama_sampler_free(slot.sampler)
                        slots[place] = None
                if on_step is not None:
                    on_step(self.times)
        finally:
            llama_cpp.llama_batch_free(batch)

    def _open(self, place: int, prompt: RenderedPrompt, ids: list[int]) -> _Slot:
        llama_cpp.llama_memory_seq_rm(self.model.memory, place, -1, -1)
        self.times.n_prompt += len(ids)
        return _Slot(prompt, ids, GrowingText(prompt.stop), self.model.sampler(self.decoding, prompt.seed))

    def _step(self, batch: Any, slots: Sequence[_Slot | None]) -> list[int]:
        """One token for every slot whose pending tokens fit the batch; slots that do not wait for the next step."""
        started = time.perf_counter()
        batch.n_tokens = 0
        asked: list[tuple[int, int]] = []
        for place, slot in enumerate(slots):
            if slot is None or batch.n_tokens + len(slot.pending) > self.model.n_batch:
                continue
            for offset, token in enumerate(slot.pending):
                at = batch.n_tokens
                batch.token[at], batch.pos[at] = token, slot.position + offset
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, place
                batch.logits[at] = offset == len(slot.pending) - 1
                batch.n_tokens += 1
            asked.append((place, batch.n_tokens - 1))
        if llama_cpp.llama_decode(self.model.ctx, batch) != 0:
            raise WorkerError("llama_decode failed")
        for place, at in asked:
            slot = slots[place]
            if slot is not None:
                self._take(slot, int(llama_cpp.llama_sampler_sample(slot.sampler, self.model.ctx, at)))
        self.times.decode += time.perf_counter() - started
        self.times.steps += 1
        return [place for place, _ in asked]

    def _take(self, slot: _Slot, token: int) -> None:
        slot.tokens.append(token)
        self.times.n_tokens += 1
        if self.model.ends(token) or slot.text.add(self.model.piece(token)):
            slot.finish = "stop"
        elif len(slot.tokens) >= self.decoding.max_tokens:
            slot.finish = "length"
        elif len(slot.ids) + len(slot.tokens) >= self.model.room:
            slot.finish = "context"
