"""Batched decoding with transformers: prompts padded on the left, rows dropped as their answers end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from transformers import DynamicCache

from .lines import Answer, Decoding, RenderedPrompt
from .text import GrowingText
from .torch_choice import choose
from .torch_model import TorchModel

__all__ = ["Times", "TorchDecoder"]

_COMPACT = 0.8
"""Ended rows are dropped from the batch once no more than this share of it is still being answered."""


@dataclass
class Times:
    """Seconds and token counts; `steps` are passes through the model after the prompts were read."""

    prefill: float = 0.0
    decode: float = 0.0
    n_prompt: int = 0
    n_tokens: int = 0
    steps: int = 0


@dataclass
class _Row:
    prompt: RenderedPrompt
    ids: list[int]
    text: GrowingText
    tokens: list[int] = field(default_factory=list)
    finish: str = ""


@dataclass
class TorchDecoder:
    """Answers prompts `batch` at a time, those of like length together."""

    model: TorchModel
    decoding: Decoding
    batch: int
    times: Times = field(default_factory=Times)

    def run(
        self, prompts: Sequence[tuple[RenderedPrompt, list[int]]], on_step: Callable[[Times], None] | None = None
    ) -> Iterator[Answer]:
        """Yield each answer when it ends; one that cannot fit the model's context at all is given back empty."""
        fitting = []
        for prompt, ids in prompts:
            if len(ids) >= self.model.context:
                yield Answer(prompt, "", [], len(ids), "context")
            else:
                fitting.append(_Row(prompt, ids, GrowingText(prompt.stop)))
        fitting.sort(key=lambda row: (-len(row.ids), row.prompt.task_id, row.prompt.sample))
        for start in range(0, len(fitting), self.batch):
            yield from self._answer(fitting[start : start + self.batch], on_step)

    @torch.inference_mode()  # type: ignore[untyped-decorator, unused-ignore]
    def _answer(self, rows: list[_Row], on_step: Callable[[Times], None] | None) -> Iterator[Answer]:
        started = time.perf_counter()
        ids, mask = _padded([row.ids for row in rows], self.model.device)
        cache = DynamicCache(config=self.model.model.config)
        logits = self._forward(ids, mask, (mask.cumsum(dim=-1) - 1).clamp(min=0), cache)
        chosen = self._choose(rows, logits)
        self.times.prefill += time.perf_counter() - started
        self.times.n_prompt += sum(len(row.ids) for row in rows)
        while True:
            for row, token in zip(rows, chosen, strict=True):
                if not row.finish:
                    self._take(row, token)
                    if row.finish:
                        yield Answer(row.prompt, row.text.text(), row.tokens, len(row.ids), row.finish)
            open_rows = [place for place, row in enumerate(rows) if not row.finish]
            if not open_rows:
                return
            started = time.perf_counter()
            if len(open_rows) <= _COMPACT * len(rows):
                keep = torch.tensor(open_rows, device=self.model.device)
                cache.batch_select_indices(keep)
                mask, rows = mask[keep], [rows[place] for place in open_rows]
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            last = torch.tensor([[row.tokens[-1]] for row in rows], device=self.model.device)
            positions = torch.tensor([[len(row.ids) + len(row.tokens) - 1] for row in rows], device=self.model.device)
            chosen = self._choose(rows, self._forward(last, mask, positions, cache))
            self.times.decode += time.perf_counter() - started
            self.times.steps += 1
            if on_step is not None:
                on_step(self.times)

    def _forward(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: DynamicCache
    ) -> torch.Tensor:
        """Logits [B, V] after the last token of each row."""
        out = self.model.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = out.logits[:, -1].float()
        return logits

    def _choose(self, rows: list[_Row], logits: torch.Tensor) -> list[int]:
        seeds = [row.prompt.seed for row in rows]
        return choose(logits, self.decoding, seeds, [len(row.tokens) for row in rows])

    def _take(self, row: _Row, token: int) -> None:
        row.tokens.append(token)
        self.times.n_tokens += 1
        if token in self.model.ends or row.text.add(self.model.piece(token)):
            row.finish = "stop"
        elif len(row.tokens) >= self.decoding.max_tokens:
            row.finish = "length"
        elif len(row.ids) + len(row.tokens) >= self.model.context:
            row.finish = "context"


def _padded(rows: Sequence[Sequence[int]], device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [B, longest], filled up on the left, so that every row's last token is in the last column."""
    longest = max(map(len, rows))
    ids = torch.tensor([[0] * (longest - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    return ids.to(device), mask.to(device)
