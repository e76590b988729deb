"""The last norm before the output layer: its numbers, and that it neither leaves the device nor is sent there anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from apr_leaderboard.proof.check import expect, tested
from apr_leaderboard.proof.hosttrips import host_trips, on_the_host
from apr_leaderboard.proof.kernels import decoder
from apr_leaderboard.proof.sampling import for_all, strategies

__all__ = ["CHECKS"]


def _engine_norm(x: Any, weight: Any, eps: float) -> Any:
    from apr_leaderboard.engine.reference.forward import rms_norm

    return rms_norm(x, weight, eps)


def norm_agrees(norm: Callable[[Any, Any, float], Any]) -> str:
    """The compiled float32 norm against float64, columns of any size from 1e-3 to 1e3: within 1e-4."""
    import jax
    import jax.numpy as jnp

    compiled = jax.jit(lambda x, weight: norm(x, weight, 1e-6))

    def holds(size: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        x, weight = size * rng.standard_normal((48, 5)), rng.uniform(0.5, 2.0, 48)
        got = np.asarray(compiled(jnp.asarray(x, jnp.float32), jnp.asarray(weight, jnp.float32)), np.float64)
        worst = float(np.abs(got - decoder.rms_norm(x.T, weight, 1e-6).T).max())
        expect(worst < 1e-4, f"{worst:.2g} apart: entries of {size:g}, seed {seed}")

    return for_all(holds, strategies.floats(1e-3, 1e3), strategies.integers(0, 9999), examples=80)


def output_stays_on_the_device(look: Callable[[Any], Any]) -> str:
    """From the last hidden state to the logits, the compiled program calls nothing on the host."""
    from apr_leaderboard.engine.reference.forward import rms_norm

    def output(x: Any, norm: Any, head: Any) -> Any:
        return head @ look(rms_norm(x, norm, 1e-6))

    trips = host_trips(output, np.ones((8, 3), np.float32), np.ones(8, np.float32), np.ones((5, 8), np.float32))
    expect(not trips, f"the program calls the host: {trips}")
    return "norm and output layer, compiled"


def steps_share_one_program(length_of: Callable[[int], int]) -> str:
    """Six training steps trace the loss once: weights are put into the program's memory once, not at every step."""
    import jax.numpy as jnp
    import optax

    from apr_leaderboard.engine.reference.pairs import Batch
    from apr_leaderboard.engine.reference.train import make_update

    traced = 0

    def loss_of(tree: Any, frozen: None, batch: Batch) -> tuple[Any, dict[str, Any]]:
        nonlocal traced
        traced += 1
        return jnp.sum(jnp.square(tree["w"] * batch.inputs)) + jnp.sum(batch.mask), {}

    optimizer = optax.sgd(1e-3)
    tree = {"w": jnp.ones(())}
    state = optimizer.init(tree)
    update = make_update(loss_of, optimizer)
    for step in range(6):
        rows = np.ones((2, length_of(step)), np.float32)
        tree, state, _ = update(tree, state, None, Batch(rows, rows, rows))
    expect(traced == 1, f"6 steps traced the loss {traced} times")
    return "6 steps, 1 trace"


def _without_weight(x: Any, weight: Any, eps: float) -> Any:
    return _engine_norm(x, weight / weight, eps)


def _look_on_the_host(x: Any) -> Any:
    return on_the_host(np.asarray, x.shape, x)


CHECKS: Final = (
    tested("FALSIFY-GPU-NORM-001", norm_agrees, _engine_norm, _without_weight),
    tested("FALSIFY-GPU-NORM-002", output_stays_on_the_device, lambda x: x, _look_on_the_host),
    tested("FALSIFY-GPU-NORM-003", steps_share_one_program, lambda step: 4, lambda step: 4 + step),
)
