"""Training on preferences through a low-rank adapter: DPO and ORPO.

DPO (Rafailov et al. 2023, equation 7): the reference is the model without the adapter; what it says of the answers is
worked out once, before the first step. ORPO (Hong et al. 2024, equations 6 and 7): no reference; cross-entropy on the
chosen answer plus beta (the paper's lambda) times -log sigmoid of the log odds ratio.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.fitting import Training
from apr_leaderboard.engine.reference.forward import Params, forward
from apr_leaderboard.engine.reference.lora import Adapter, bind, init_adapter
from apr_leaderboard.engine.reference.losses import dpo_losses, masked_mean, orpo_log_odds_ratio, sequence_log_probs
from apr_leaderboard.engine.reference.pairs import n_batches
from apr_leaderboard.engine.reference.preferences import PreferenceBatch, TokenPreferences, preference_batches
from apr_leaderboard.model.stage import AlignParams

__all__ = ["aligning", "reference_log_probs"]


def aligning(config: ModelConfig, params: Params, data: TokenPreferences, settings: AlignParams) -> Training:
    """An adapter beside `params` (not fused). Rewards and margins are means over a batch, in nats.

    dpo: beta times the log-probability ratio to the reference. orpo: beta times the mean log-probability of a token.
    """
    objective = {"dpo": _dpo, "orpo": _orpo}[settings.method]

    def loss_of(adapter: Adapter, frozen: Params, batch: PreferenceBatch) -> tuple[jax.Array, dict[str, jax.Array]]:
        logits = forward(config, bind(frozen, adapter, settings.scale), batch.rows.inputs)
        return objective(logits, batch, settings.beta)

    def epoch_batches(epoch: int) -> Iterator[tuple[PreferenceBatch, int]]:
        return preference_batches(data, settings.batch_size, settings.seed, epoch)

    adapter = init_adapter(params, settings.rank, settings.seed)
    return Training("align", loss_of, adapter, params, epoch_batches, n_batches(data.chosen, settings.batch_size))


def reference_log_probs(
    config: ModelConfig,
    params: Params,
    data: TokenPreferences,
    batch_size: int,
    tell: Callable[[int, int], None],
) -> TokenPreferences:
    """The same rows with log P(y | x) of each answer under `params` beside them; `tell` hears batches done and all."""

    @jax.jit
    def log_probs(tree: Params, batch: PreferenceBatch) -> jax.Array:
        rows = batch.rows
        return sequence_log_probs(forward(config, tree, rows.inputs), rows.targets, rows.mask).reshape(2, -1)

    found, total = [], n_batches(data.chosen, batch_size)
    for batch, _ in preference_batches(data, batch_size, None, 0):
        found.append(np.asarray(log_probs(params, batch)))
        tell(len(found), total)
    return data.with_reference(np.concatenate(found, axis=1)[:, : len(data.chosen.tokens)])


def _dpo(logits: jax.Array, batch: PreferenceBatch, beta: float) -> tuple[jax.Array, dict[str, jax.Array]]:
    policy = sequence_log_probs(logits, batch.rows.targets, batch.rows.mask)
    chosen, rejected = jnp.split(beta * (policy - batch.reference), 2)
    return masked_mean(dpo_losses(chosen, rejected), batch.counts), _rewards(chosen, rejected, batch.counts)


def _orpo(logits: jax.Array, batch: PreferenceBatch, beta: float) -> tuple[jax.Array, dict[str, jax.Array]]:
    rows = batch.rows
    lengths = jnp.maximum(jnp.sum(rows.mask, axis=-1), 1.0)
    chosen, rejected = jnp.split(sequence_log_probs(logits, rows.targets, rows.mask) / lengths, 2)
    ratio = orpo_log_odds_ratio(chosen, rejected)
    told, odds = masked_mean(-chosen, batch.counts), masked_mean(jax.nn.softplus(-ratio), batch.counts)
    figures = _rewards(beta * chosen, beta * rejected, batch.counts)
    return told + beta * odds, {**figures, "ce_loss": told, "odds_ratio_loss": odds}


def _rewards(chosen: jax.Array, rejected: jax.Array, counts: jax.Array) -> dict[str, jax.Array]:
    return {
        "chosen_reward": masked_mean(chosen, counts),
        "rejected_reward": masked_mean(rejected, counts),
        "margin": masked_mean(chosen - rejected, counts),
    }
