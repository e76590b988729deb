"""What training makes small. Pure functions of logits and log-probabilities; everything is in nats.

Rows are [b], tokens [b, t], logits [b, t, V]; a mask [b, t] is 1 where a token counts.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

__all__ = [
    "distillation_terms",
    "dpo_losses",
    "masked_loss",
    "masked_mean",
    "orpo_log_odds_ratio",
    "sequence_log_probs",
]


def masked_mean(values: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean of `values` where `mask` is 1; 0 where it is nowhere."""
    return jnp.sum(values * mask) / jnp.maximum(jnp.sum(mask), 1.0)


def masked_loss(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """Mean cross-entropy over the tokens that count."""
    return masked_mean(optax.softmax_cross_entropy_with_integer_labels(logits, targets), mask)


def sequence_log_probs(logits: jax.Array, targets: jax.Array, mask: jax.Array) -> jax.Array:
    """log P(y | x) of each row: the sum over its tokens that count."""
    return -jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, targets) * mask, axis=-1)


def distillation_terms(student: jax.Array, teachers: Sequence[jax.Array], temperature: jax.Array) -> jax.Array:
    """T^2 KL(teacher || student) of each token, both softened by T (Hinton et al. 2015, section 2).

    Several teachers count with the mean of their probabilities (section 1: the arithmetic mean of their predictions).
    """
    log_student = jax.nn.log_softmax(student / temperature, axis=-1)
    log_teachers = jnp.stack([jax.nn.log_softmax(teacher / temperature, axis=-1) for teacher in teachers])
    log_teacher = jax.nn.logsumexp(log_teachers, axis=0) - jnp.log(len(teachers))
    return temperature**2 * jnp.sum(jnp.exp(log_teacher) * (log_teacher - log_student), axis=-1)


def dpo_losses(chosen_reward: jax.Array, rejected_reward: jax.Array) -> jax.Array:
    """-log sigmoid of the margin of each pair (Rafailov et al. 2023, equation 7).

    A reward is beta (log P(y | x) under the policy - log P(y | x) under the reference), equation 5 up to a term of x.
    """
    return jax.nn.softplus(rejected_reward - chosen_reward)


def orpo_log_odds_ratio(chosen: jax.Array, rejected: jax.Array) -> jax.Array:
    """log of odds(chosen) / odds(rejected) (Hong et al. 2024, equations 4 and 5).

    Takes each answer's mean log-probability over its tokens, whose exp is the paper's P; odds(P) = P / (1 - P).
    """
    return (chosen - rejected) - (_log_one_less(chosen) - _log_one_less(rejected))


def _log_one_less(log_p: jax.Array) -> jax.Array:
    """log(1 - p) of a log-probability; one so near 0 that 1 - p would vanish is held just below it."""
    held = jnp.minimum(log_p, -float(np.finfo(log_p.dtype).eps))
    return jnp.log(-jnp.expm1(held))
