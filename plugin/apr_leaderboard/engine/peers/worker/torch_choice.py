"""Tokens from a batch of logits, on the device. A row's draw depends on its logits, seed and step alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .lines import Decoding

__all__ = ["choose", "draw"]


def draw(seed: int, step: int) -> float:
    """A number in [0, 1): Philox (Salmon et al. 2011) keyed by seed and step, the draw of the reference engine."""
    return float(np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64))).random())


def choose(logits: torch.Tensor, decoding: Decoding, seeds: Sequence[int], steps: Sequence[int]) -> list[int]:
    """One id a row of logits [B, V]; at temperature 0 the most probable.

    Otherwise the `top_k` most probable are kept, of these the fewest whose probability reaches `top_p` (nucleus
    sampling, Holtzman et al. 2020, section 3.1), and the row's draw finds its place in their cumulative sum.
    """
    if decoding.temperature == 0.0:
        return [int(token) for token in logits.argmax(dim=-1).tolist()]
    scaled = logits.double() / decoding.temperature
    share, order = torch.sort(torch.softmax(scaled, dim=-1), dim=-1, descending=True, stable=True)
    if decoding.top_k:
        share[:, decoding.top_k :] = 0.0
    reached = share.cumsum(dim=-1)
    if decoding.top_p < 1.0:
        before = reached - share
        share = torch.where(before < decoding.top_p * reached[:, -1:], share, torch.zeros_like(share))
        reached = share.cumsum(dim=-1)
    draws = [draw(seed, step) for seed, step in zip(seeds, steps, strict=True)]
    aim = torch.tensor(draws, dtype=torch.float64, device=logits.device)[:, None] * reached[:, -1:]
    places = torch.searchsorted(reached, aim, right=True)
    last = (share > 0).sum(dim=-1, keepdim=True) - 1
    return [int(token) for token in order.gather(1, torch.minimum(places, last))[:, 0].tolist()]
