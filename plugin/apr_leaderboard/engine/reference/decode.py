"""Answer many prompts at once: a fixed number of slots, each refilled as soon as its answer has ended.

Columns of a step that no answer needs may check drafted tokens (`DecodeParams.draft_tokens`); see `columns.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from apr_leaderboard.engine.reference.answer import AnswerText
from apr_leaderboard.engine.reference.cache import (
    BLOCK,
    WIDTH,
    decode_layer,
    empty_cache,
    grow,
    insert_slot,
    prefill_layer,
)
from apr_leaderboard.engine.reference.columns import NO_DRAFTS, checked, lay_out, share_columns
from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.forward import Params, embed, unembed
from apr_leaderboard.engine.reference.loader import LoadedModel
from apr_leaderboard.engine.reference.lookup import Lookup
from apr_leaderboard.engine.reference.sampling import sample_token
from apr_leaderboard.model.generation import Completion, DecodeParams, FinishReason, Prompt

__all__ = ["DecodeTimes", "Decoder", "Request", "chunk_sizes"]

_CHUNKS = (64, 32, 16)


@dataclass(frozen=True)
class Request:
    """A prompt with the text the model will see and its token ids."""

    prompt: Prompt
    rendered: str
    ids: tuple[int, ...]


@dataclass
class DecodeTimes:
    """Where the time went, in seconds, and how many tokens were read, written, drafted, and accepted of these."""

    prefill: float = 0.0
    decode: float = 0.0
    n_prefilled: int = 0
    n_decoded: int = 0
    n_steps: int = 0
    n_drafted: int = 0
    n_accepted: int = 0


@dataclass
class _Slot:
    """An answer in the making. `token` at `position` is what the next step reads."""

    request: Request
    token: int
    position: int
    answer: AnswerText
    n_tokens: int = 0
    lookup: Lookup | None = None


@dataclass
class Decoder:
    """Decodes with one model. Answers do not depend on which other prompts are asked, in which order, or on slots."""

    model: LoadedModel
    params: DecodeParams
    ignore_end: bool = False
    """Go on after an end token, to measure speed."""
    times: DecodeTimes = field(default_factory=DecodeTimes)

    def run(
        self, requests: Sequence[Request], on_step: Callable[[DecodeTimes], None] | None = None
    ) -> Iterator[Completion]:
        """Yield each answer as it ends. Longest prompts go first, so that no long one is left to run alone."""
        context = self.model.config.context_length
        fitting = [r for r in requests if len(r.ids) < context]
        for request in requests:
            if len(request.ids) >= context:
                yield _completion(request, "", 0, FinishReason.CONTEXT)
        if not fitting:
            return
        order = sorted(fitting, key=lambda r: (-len(r.ids), r.ids, r.prompt.key))
        self._open(len(order[0].ids))
        waiting, slots = deque(order), [None] * WIDTH  # type: deque[Request], list[_Slot | None]
        while waiting or any(slots):
            for i, slot in enumerate(slots):
                if slot is None and waiting:
                    slots[i] = self._fill(i, waiting.popleft())
            tokens = self._step(slots)
            for i, slot in enumerate(slots):
                if slot is not None and (finish := self._take_all(slot, tokens[i])) is not None:
                    slots[i] = None
                    yield _completion(slot.request, slot.answer.text(), slot.n_tokens, finish)
            if on_step is not None:
                on_step(self.times)

    def _open(self, longest: int) -> None:
        # Room for the longest prompt and a short answer; longer answers make it grow, the longest ones being rare.
        self._cache = empty_cache(self.model.config, WIDTH, longest + BLOCK)
        self._one = empty_cache(self.model.config, 1, longest)
        self._one_holds: tuple[int, ...] = ()

    def _fill(self, slot: int, request: Request) -> _Slot:
        """Read all of the prompt but its last token into a slot; samples of one prompt share the reading."""
        started = time.perf_counter()
        head = request.ids[:-1]
        if head and head != self._one_holds:
            self._prefill(head)
        if head:
            self._cache = insert_slot(self._cache, self._one, jnp.int32(slot))
            self._cache[0][0].block_until_ready()
        self.times.prefill += time.perf_counter() - started
        answer = AnswerText(self.model.codec, request.prompt.stop)
        lookup = Lookup(request.ids) if self.params.draft_tokens else None
        return _Slot(request, request.ids[-1], len(request.ids) - 1, answer, lookup=lookup)

    def _prefill(self, ids: tuple[int, ...]) -> None:
        config, params = self.model.config, self.model.params
        start = 0
        for size in chunk_sizes(len(ids)):
            chunk = np.zeros(size, np.int32)
            part = ids[start : start + size]
            chunk[: len(part)] = part
            x = _embed(_head_of(params), chunk)
            for i, layer in enumerate(params["layers"]):
                x, *pair = prefill_layer(config, layer, x, *self._one[i], jnp.int32(start))
                self._one[i] = (pair[0], pair[1])
            start += size
        self._one_holds = ids
        self.times.n_prefilled += len(ids)

    def _step(self, slots: Sequence[_Slot | None]) -> list[list[int]]:
        """The next tokens of every slot, one or more; none of an empty one."""
        started = time.perf_counter()
        config, params = self.model.config, self.model.params
        drafts = self._drafts(slots)
        columns = lay_out(slots, drafts)
        blocks = self._cache[0][0].shape[0]
        if columns.positions.max() >= blocks * BLOCK:
            self._cache = grow(self._cache, blocks + max(1, blocks // 2))
        places = (columns.positions, columns.owners if columns.drafted else None)
        x = _embed(_head_of(params), columns.tokens)
        for i, layer in enumerate(params["layers"]):
            x, *pair = decode_layer(config, layer, x, *self._cache[i], places)
            self._cache[i] = (pair[0], pair[1])
        tokens = self._checked(slots, drafts, columns.starts, x)
        self.times.decode += time.perf_counter() - started
        self.times.n_drafted += sum(map(len, drafts))
        self.times.n_steps += 1
        return tokens

    def _drafts(self, slots: Sequence[_Slot | None]) -> Sequence[Sequence[int]]:
        """What is drafted after every slot's last token, where columns are free for that."""
        free = sum(slot is None for slot in slots)
        if not self.params.draft_tokens or not free:
            return NO_DRAFTS
        drafts = [self._draft(slot, free) if slot else [] for slot in slots]
        return [draft[:n] for draft, n in zip(drafts, share_columns([*map(len, drafts)], free), strict=True)]

    def _draft(self, slot: _Slot, free: int) -> list[int]:
        """No more than can be used: the step's own token comes on top, and the answer ends with limit or context."""
        assert slot.lookup is not None
        to_limit = self.params.max_tokens - slot.n_tokens - 1
        to_context = self.model.config.context_length - 2 - slot.position
        most = min(self.params.draft_tokens, free, to_limit, to_context)
        return slot.lookup.propose(most) if most > 0 else []

    def _checked(
        self, slots: Sequence[_Slot | None], drafts: Sequence[Sequence[int]], starts: Sequence[int], x: jax.Array
    ) -> list[list[int]]:
        """What every slot's columns come to: the drafted tokens that the model would have chosen, and one more."""
        choose = self._chooser(x)
        return [
            checked(draft, partial(choose, slot, start)) if slot and draft else [choose(slot, start, 0)] if slot else []
            for slot, draft, start in zip(slots, drafts, starts, strict=True)
        ]

    def _chooser(self, x: jax.Array) -> Callable[[_Slot, int, int], int]:
        """How a slot whose columns begin at `start` goes on `ahead` tokens after its last one."""
        config, params = self.model.config, self.model.params
        if self.params.temperature == 0.0:
            best: list[int] = np.asarray(_greedy(config, _head_of(params), x)).tolist()
            return lambda slot, start, ahead: best[start + ahead]
        logits = np.asarray(_logits(config, _head_of(params), x))

        def draw(slot: _Slot, start: int, ahead: int) -> int:
            return sample_token(logits[:, start + ahead], self.params, slot.request.prompt.seed, slot.n_tokens + ahead)

        return draw

    def _take_all(self, slot: _Slot, tokens: Sequence[int]) -> FinishReason | None:
        """Add a step's tokens to an answer, up to its end; why it ended, if it did. All but the last were drafted."""
        for place, token in enumerate(tokens):
            self.times.n_decoded += 1
            self.times.n_accepted += place + 1 < len(tokens)
            if (finish := self._take(slot, token)) is not None:
                return finish
        return None

    def _take(self, slot: _Slot, token: int) -> FinishReason | None:
        slot.n_tokens += 1
        if token in self.model.config.eos_ids and not self.ignore_end:
            return FinishReason.STOP
        if slot.answer.add(token):
            return FinishReason.STOP
        if slot.n_tokens == self.params.max_tokens:
            return FinishReason.LENGTH
        if slot.lookup is not None:
            slot.lookup.add(token)
        slot.token, slot.position = token, slot.position + 1
        return FinishReason.CONTEXT if slot.position + 1 >= self.model.config.context_length else None


def chunk_sizes(length: int) -> list[int]:
    """How a prompt of `length` tokens is cut: whole chunks of 64, then the smallest chunk that holds the rest."""
    largest = _CHUNKS[0]
    whole, rest = divmod(length, largest)
    return [largest] * whole + ([min(c for c in _CHUNKS if c >= rest)] if rest else [])


def _head_of(params: Params) -> Params:
    """The part of the parameters the output needs, so that a jitted head is not keyed on all layers."""
    return {name: value for name, value in params.items() if name != "layers"}


_embed = jax.jit(lambda params, tokens: embed(params, tokens))


@partial(jax.jit, static_argnums=0)
def _greedy(config: ModelConfig, head: Params, x: jax.Array) -> jax.Array:
    """The lowest of the most probable ids of each column."""
    logits = unembed(config, head, x)
    ids = jnp.arange(logits.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(logits == logits.max(axis=0), ids, logits.shape[0]).min(axis=0)


@partial(jax.jit, static_argnums=0)
def _logits(config: ModelConfig, head: Params, x: jax.Array) -> jax.Array:
    return unembed(config, head, x)


def _completion(request: Request, text: str, n_tokens: int, finish: FinishReason) -> Completion:
    return Completion(
        task_id=request.prompt.task_id,
        sample=request.prompt.sample,
        text=text,
        rendered=request.rendered,
        n_prompt_tokens=len(request.ids),
        n_tokens=n_tokens,
        finish=finish,
    )
