"""The training loop: one optimizer step after another, the same bytes for the same seed on the same machine."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import jax
import jax.numpy as jnp
import optax

from apr_leaderboard.errors import EngineError

__all__ = ["LossLog", "LossOf", "Schedule", "Step", "Update", "adamw", "make_update", "run_steps", "warmup_cosine"]

Tree = Any
LossOf = Callable[[Tree, Tree, Any], tuple[jax.Array, dict[str, jax.Array]]]
"""(trained weights, frozen weights, batch) -> (loss, further figures worth keeping, scalars by name)."""
Update = Callable[[Tree, Tree, Tree, Any], tuple[Tree, Tree, dict[str, jax.Array]]]
"""(trained, optimizer state, frozen, batch) -> (trained, state, figures: loss, gradient_norm and the loss's own)."""

_WARMUP_SHARE: Final = 0.1
_FINAL_SHARE: Final = 0.05
_CLIP_NORM: Final = 1.0


@dataclass(frozen=True)
class Step:
    """One optimizer step. `loss` is nats per token that counts; `gradient_norm` is before clipping.

    `extra` holds what only this kind of training has, such as the margin of a preference.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, float]:
        """Everything measured, by name."""
        own = {"loss": self.loss, "learning_rate": self.learning_rate, "gradient_norm": self.gradient_norm}
        return {**own, **self.extra}


class LossLog:
    """Writes losses.jsonl, one step a line. No times in it: the same training gives the same bytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[str] = []
        self.last: Step | None = None
        self.first: Step | None = None

    def add(self, step: Step) -> None:
        """Keep a step, and write the file anew each hundred."""
        self.first = self.first or step
        self.last = step
        self._lines.append(json.dumps({"step": step.step, "epoch": step.epoch, **step.figures}))
        if len(self._lines) % 100 == 0:
            self.close()

    def close(self) -> None:
        """Write what there is."""
        self.path.write_text("".join(line + "\n" for line in self._lines), encoding="utf-8")


@dataclass(frozen=True)
class Schedule:
    """How many steps, at which rate, and who is told of each (with tokens per second so far)."""

    total: int
    rate: Callable[[int], float]
    tell: Callable[[Step, float], None]


def warmup_cosine(peak: float, total: int) -> Callable[[int], float]:
    """Learning rate of step 0, 1, ...: a linear rise over a tenth of the steps, then half a cosine to a twentieth."""
    warm = max(1, round(total * _WARMUP_SHARE))

    def rate(step: int) -> float:
        if step < warm:
            return peak * (step + 1) / warm
        done = (step - warm) / max(1, total - warm)
        return peak * (_FINAL_SHARE + (1 - _FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    return rate


def adamw(b2: float, weight_decay: float = 0.0) -> Any:
    """AdamW (Loshchilov & Hutter 2019) behind a clip of the gradient's norm at 1; the rate is set at every step."""

    def build(learning_rate: float) -> Any:
        clip = optax.clip_by_global_norm(_CLIP_NORM)
        return optax.chain(clip, optax.adamw(learning_rate, b1=0.9, b2=b2, weight_decay=weight_decay))

    return optax.inject_hyperparams(build)(learning_rate=0.0)


def make_update(loss_of: LossOf, optimizer: Any) -> Update:
    """One jitted step: gradient, norm, optimizer. The trained weights and the state given are used up."""

    def update(tree: Tree, state: Tree, frozen: Tree, batch: Any) -> tuple[Tree, Tree, dict[str, jax.Array]]:
        (loss, extra), gradient = jax.value_and_grad(loss_of, has_aux=True)(tree, frozen, batch)
        norm = optax.tree.norm(gradient)
        updates, state = optimizer.update(gradient, state, tree)
        return optax.apply_updates(tree, updates), state, {"loss": loss, "gradient_norm": norm, **extra}

    return jax.jit(update, donate_argnums=(0, 1))


def run_steps(
    update: Update,
    state: tuple[Tree, Tree, Tree],
    plan: Iterable[tuple[int, Any, int]],
    log: LossLog,
    schedule: Schedule,
) -> Tree:
    """Take every step of `plan` (epoch, batch, its number of tokens) from (trained, optimizer state, frozen).

    Returns the trained tree; the one given is used up. Raises EngineError as soon as a loss or a gradient is not
    finite; the log then ends with that step.
    """
    tree, optimizer_state, frozen = state
    clock = _Clock()
    for number, (epoch, batch, n_tokens) in enumerate(plan):
        rate = schedule.rate(number)
        optimizer_state.hyperparams["learning_rate"] = jnp.asarray(rate, jnp.float32)
        tree, optimizer_state, measured = update(tree, optimizer_state, frozen, batch)
        figures = {name: float(value) for name, value in sorted(measured.items())}
        loss, norm = figures.pop("loss"), figures.pop("gradient_norm")
        step = Step(number + 1, epoch, loss, rate, norm, figures)
        log.add(step)
        for name, value in step.figures.items():
            if not math.isfinite(value):
                log.close()
                what = name.replace("_", " ")
                raise EngineError("reference", f"the {what} is {value} at step {step.step} of {schedule.total}")
        schedule.tell(step, clock.rate_after(n_tokens))
    log.close()
    return tree


class _Clock:
    """Tokens a second, leaving out the first step, which compiles, as soon as there is a second."""

    def __init__(self) -> None:
        self._begun, self._tokens, self._steps = time.monotonic(), 0, 0

    def rate_after(self, n_tokens: int) -> float:
        self._steps += 1
        self._tokens += n_tokens
        now = time.monotonic()
        rate = self._tokens / max(1e-9, now - self._begun)
        if self._steps == 1:
            self._begun, self._tokens = now, 0
        return rate
