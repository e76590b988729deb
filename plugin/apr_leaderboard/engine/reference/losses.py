"""What training makes small. Pure functions of logits and log-probabilities; everything is in nats."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

__all__ = ["masked_loss"]


def masked_loss(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean cross-entropy over the positions where `mask` is 1; logits [b, t, V], targets and mask [b, t]."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    return jnp.sum(losses * mask) / jnp.maximum(jnp.sum(mask), 1.0)
