"""What finetuning a 7B would hold, from what a weight was measured to take on a small model."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.criteria.losses import held_bytes
from apr_leaderboard.criteria.weighing import tensors_of
from apr_leaderboard.proof.lab import Made

__all__ = ["memory_of_7b"]

# Qwen2.5-7B, from its config.json: layers, width, inner width, width of keys and values, vocabulary.
_LAYERS, _WIDTH, _INNER, _NARROW, _VOCAB = 28, 3584, 18944, 512, 152064
_RANK: Final = 16


def memory_of_7b(made: Made) -> float:
    """Bytes held by weights, adapter and optimizer in LoRA or QLoRA of rank 16 on Qwen2.5-7B.

    Each matrix of the layers takes as many bytes a weight as those of the small model took, embeddings and norms four;
    adapter and optimizer take as much a trained weight as they did there. Activations are left out: they are the same.
    """
    frozen, trained, optimizer = held_bytes(made)
    tensors = tensors_of(made)
    matrices = sum(one.size for name, one in tensors.items() if one.ndim == 2 and "layers." in name)
    rest = sum(one.size for name, one in tensors.items() if not (one.ndim == 2 and "layers." in name))
    per_weight = (frozen - 4 * rest) / matrices
    layer = 2 * _WIDTH * _WIDTH + 2 * _WIDTH * _NARROW + 3 * _WIDTH * _INNER
    adapter = _RANK * (2 * (_WIDTH + _WIDTH) + 2 * (_WIDTH + _NARROW) + 3 * (_WIDTH + _INNER))
    moved = 4.0 * _LAYERS * adapter
    return per_weight * _LAYERS * layer + 4.0 * 2 * _VOCAB * _WIDTH + moved * (1 + optimizer / trained)
