"""Plain next-token training of all weights, on rows cut from one long run of tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import jax
import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.forward import Params, forward
from apr_leaderboard.engine.reference.losses import masked_loss
from apr_leaderboard.engine.reference.pairs import Batch
from apr_leaderboard.engine.reference.train import (
    LossLog,
    Schedule,
    Step,
    adamw,
    make_update,
    run_steps,
    warmup_cosine,
)

__all__ = ["PretrainPlan", "pretrain"]

_B2: Final = 0.98
_WEIGHT_DECAY: Final = 0.01


@dataclass(frozen=True)
class PretrainPlan:
    """`steps` batches of `batch_size` rows of `length` tokens."""

    steps: int
    batch_size: int = 8
    length: int = 128
    learning_rate: float = 5e-3

    @property
    def n_tokens(self) -> int:
        """Tokens needed: each row's targets are its inputs moved on by one."""
        return self.steps * self.batch_size * self.length + 1

    def batches(self, tokens: NDArray[np.int32]) -> Iterator[tuple[int, Batch, int]]:
        """Epoch, batch and its number of tokens; each token is seen once. Raises ValueError when there are too few."""
        if len(tokens) < self.n_tokens:
            raise ValueError(f"got {len(tokens)} tokens, {self.n_tokens} are needed")
        shape = (self.batch_size, self.length)
        mask = np.ones(shape, np.float32)
        size = self.batch_size * self.length
        for i in range(self.steps):
            cut = tokens[i * size : (i + 1) * size + 1]
            yield 1, Batch(cut[:-1].reshape(shape), cut[1:].reshape(shape), mask), size


def pretrain(
    config: ModelConfig,
    params: Params,
    tokens: NDArray[np.int32],
    plan: PretrainPlan,
    log: LossLog,
    tell: Callable[[Step, float], None],
) -> Params:
    """Train with AdamW (Loshchilov & Hutter 2019) for `plan.steps` steps; returns the trained parameters."""

    def loss_of(tree: Params, frozen: None, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        return masked_loss(forward(config, tree, batch.inputs), batch.targets, batch.mask), {}

    optimizer = adamw(_B2, weight_decay=_WEIGHT_DECAY)
    schedule = Schedule(plan.steps, warmup_cosine(plan.learning_rate, plan.steps), tell)
    state = (params, optimizer.init(params), None)
    trained: Params = run_steps(make_update(loss_of, optimizer), state, plan.batches(tokens), log, schedule)
    return trained
