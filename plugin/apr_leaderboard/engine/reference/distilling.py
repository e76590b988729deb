"""Training a student towards what its teachers say of every next token.

loss = alpha T^2 KL(teacher || student) + (1 - alpha) CE, over the tokens of the response (Hinton et al. 2015, section
2). The progressive strategy lets the teacher go as training goes on: at step s of S, with p = s / (S - 1) from 0 to 1,
the teacher's share is alpha (1 - p) (Clark et al. 2019, "BAM!", teacher annealing) and the temperature 1 + (T - 1)
(1 - p) (Jafari et al. 2021, "Annealing Knowledge Distillation").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.fitting import Training
from apr_leaderboard.engine.reference.forward import Params, forward
from apr_leaderboard.engine.reference.losses import distillation_terms, masked_loss, masked_mean
from apr_leaderboard.engine.reference.pairs import Batch, TokenPairs, batches, n_batches
from apr_leaderboard.model.stage import DistillParams

__all__ = ["TaughtBatch", "answer_training", "distilling", "share_schedule"]


class TaughtBatch(NamedTuple):
    """A batch, and the teacher's share and the temperature at its step (float32 scalars)."""

    rows: Batch
    alpha: Any
    temperature: Any


def distilling(
    configs: Sequence[ModelConfig],
    student: Params,
    teachers: Sequence[Params],
    pairs: TokenPairs,
    settings: DistillParams,
) -> Training:
    """Every weight of `student`, which is used up; `configs` are the student's and then each teacher's.

    Vocabularies are the same but for rows at the end that pad the embedding and stand for no token: left out here.
    """
    own, *others = configs
    width = min(config.vocab_size for config in configs)
    per_epoch = n_batches(pairs, settings.batch_size)
    schedule = share_schedule(settings, per_epoch * settings.epochs)

    def loss_of(tree: Params, frozen: Sequence[Params], batch: TaughtBatch) -> tuple[jax.Array, dict[str, jax.Array]]:
        rows = batch.rows
        logits = forward(own, tree, rows.inputs)
        wanted = [
            forward(config, params, rows.inputs)[..., :width] for config, params in zip(others, frozen, strict=True)
        ]
        taught = masked_mean(distillation_terms(logits[..., :width], wanted, batch.temperature), rows.mask)
        told = masked_loss(logits, rows.targets, rows.mask)
        figures = {"kd_loss": taught, "ce_loss": told, "alpha": batch.alpha, "temperature": batch.temperature}
        return batch.alpha * taught + (1 - batch.alpha) * told, figures

    def epoch_batches(epoch: int) -> Iterator[tuple[TaughtBatch, int]]:
        for number, (rows, n_tokens) in enumerate(batches(pairs, settings.batch_size, settings.seed, epoch)):
            alpha, temperature = schedule(epoch * per_epoch + number)
            yield TaughtBatch(rows, np.float32(alpha), np.float32(temperature)), n_tokens

    return Training("distill", loss_of, student, tuple(teachers), epoch_batches, per_epoch)


def answer_training(config: ModelConfig, student: Params, pairs: TokenPairs, settings: DistillParams) -> Training:
    """Every weight of `student`, which is used up, trained on its teachers' answers (Kim & Rush 2016, section 3.2)."""

    def loss_of(tree: Params, frozen: None, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        loss = masked_loss(forward(config, tree, batch.inputs), batch.targets, batch.mask)
        return loss, {"ce_loss": jnp.asarray(loss)}

    def epoch_batches(epoch: int) -> Iterator[tuple[Batch, int]]:
        return batches(pairs, settings.batch_size, settings.seed, epoch)

    return Training("distill", loss_of, student, None, epoch_batches, n_batches(pairs, settings.batch_size))


def share_schedule(settings: DistillParams, total: int) -> Callable[[int], tuple[float, float]]:
    """The teacher's share and the temperature of step 0 to `total` - 1."""

    def at(step: int) -> tuple[float, float]:
        if settings.strategy != "progressive":
            return settings.alpha, settings.temperature
        left = 1 - step / max(1, total - 1)
        return settings.alpha * left, 1 + (settings.temperature - 1) * left

    return at
