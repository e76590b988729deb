"""A training from its first epoch to its last: what is trained, on which rows, and what it holds in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import jax

from apr_leaderboard.engine.reference.ops import Reporter
from apr_leaderboard.engine.reference.telling import StepTeller
from apr_leaderboard.engine.reference.train import (
    LossLog,
    LossOf,
    Schedule,
    adamw,
    make_update,
    run_steps,
    warmup_cosine,
)

__all__ = ["Held", "Settings", "Training", "fit", "tree_bytes"]

_B2: Final = 0.99


class Settings(Protocol):
    """What every training is told; the parameters of finetune, distill and align have it."""

    @property
    def learning_rate(self) -> float:
        """The peak of a warmed-up cosine."""
        ...

    @property
    def epochs(self) -> int:
        """How often every row is seen."""
        ...

    @property
    def batch_size(self) -> int:
        """Rows a step."""
        ...

    @property
    def seed(self) -> int:
        """Decides the order of the rows."""
        ...


@dataclass(frozen=True)
class Training:
    """`trained` is what the optimizer moves; `frozen` goes into the loss beside it and stays as it is.

    `batches` gives an epoch's (0, 1, ...) batches, each with its number of tokens; an epoch has `n_batches`.
    """

    what: str
    loss_of: LossOf
    trained: Any
    frozen: Any
    batches: Callable[[int], Iterator[tuple[Any, int]]]
    n_batches: int


@dataclass(frozen=True)
class Held:
    """Bytes of the arrays a training holds from its first step to its last; gradients and activations come on top."""

    weights_bytes: int
    """Every weight, trained or not."""
    trainable_bytes: int
    """Those of them that are trained; a step's gradient takes as much again."""
    optimizer_bytes: int
    figures: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        held = {name: getattr(self, name) for name in ("weights_bytes", "trainable_bytes", "optimizer_bytes")}
        object.__setattr__(self, "figures", held)


def tree_bytes(tree: Any) -> int:
    """What the arrays of a tree take in memory."""
    return sum(int(leaf.nbytes) for leaf in jax.tree.leaves(tree))


def fit(training: Training, settings: Settings, log: LossLog, report: Reporter) -> tuple[Any, Held]:
    """Train with AdamW (no decay) for all epochs; the trained tree, and what was held while at it.

    `training.trained` is used up. Raises EngineError as soon as a loss or a gradient is not finite.
    """
    total = training.n_batches * settings.epochs
    plan = (
        (epoch + 1, batch, n_tokens) for epoch in range(settings.epochs) for batch, n_tokens in training.batches(epoch)
    )
    optimizer = adamw(_B2)
    state = optimizer.init(training.trained)
    trainable = tree_bytes(training.trained)
    held = Held(trainable + tree_bytes(training.frozen), trainable, tree_bytes(state))
    tell = StepTeller(report, training.what, total, settings.epochs)
    schedule = Schedule(total, warmup_cosine(settings.learning_rate, total), tell)
    update = make_update(training.loss_of, optimizer)
    return run_steps(update, (training.trained, state, training.frozen), plan, log, schedule), held
