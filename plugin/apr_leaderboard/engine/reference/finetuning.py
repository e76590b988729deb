"""Training on instruction/response pairs: through a low-rank adapter, or every weight."""

from __future__ import annotations

from collections.abc import Iterator

import jax

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.fitting import Training
from apr_leaderboard.engine.reference.forward import Params, forward
from apr_leaderboard.engine.reference.lora import Adapter, bind, init_adapter
from apr_leaderboard.engine.reference.losses import masked_loss
from apr_leaderboard.engine.reference.pairs import Batch, TokenPairs, batches, n_batches
from apr_leaderboard.model.stage import FinetuneParams

__all__ = ["adapter_finetuning", "full_finetuning"]


def adapter_finetuning(config: ModelConfig, params: Params, pairs: TokenPairs, settings: FinetuneParams) -> Training:
    """An adapter beside `params` (not fused; maps may be in NF4), trained on the tokens that count."""

    def loss_of(adapter: Adapter, frozen: Params, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        logits = forward(config, bind(frozen, adapter, settings.scale), batch.inputs)
        return masked_loss(logits, batch.targets, batch.mask), {}

    def epoch_batches(epoch: int) -> Iterator[tuple[Batch, int]]:
        return batches(pairs, settings.batch_size, settings.seed, epoch)

    adapter = init_adapter(params, settings.rank, settings.seed)
    return Training("finetune", loss_of, adapter, params, epoch_batches, n_batches(pairs, settings.batch_size))


def full_finetuning(config: ModelConfig, params: Params, pairs: TokenPairs, settings: FinetuneParams) -> Training:
    """Every weight of `params`, which is used up, trained on the tokens that count."""

    def loss_of(tree: Params, frozen: None, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        return masked_loss(forward(config, tree, batch.inputs), batch.targets, batch.mask), {}

    def epoch_batches(epoch: int) -> Iterator[tuple[Batch, int]]:
        return batches(pairs, settings.batch_size, settings.seed, epoch)

    return Training("finetune", loss_of, params, None, epoch_batches, n_batches(pairs, settings.batch_size))
