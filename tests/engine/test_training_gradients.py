"""Every training's gradient against central differences, in float64 on a tiny model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_tiny import tiny_config

from apr_leaderboard.engine.reference.aligning import aligning
from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.distilling import distilling
from apr_leaderboard.engine.reference.finetuning import adapter_finetuning, full_finetuning
from apr_leaderboard.engine.reference.fitting import Training
from apr_leaderboard.engine.reference.forward import Params
from apr_leaderboard.engine.reference.lora import TARGETS
from apr_leaderboard.engine.reference.nf4 import Nf4, nf4_of
from apr_leaderboard.engine.reference.pairs import TokenPairs
from apr_leaderboard.engine.reference.preferences import TokenPreferences
from apr_leaderboard.engine.reference.smoke_model import initial_params
from apr_leaderboard.model.stage import AlignParams, DistillParams, FinetuneParams

_STEP = 1e-5
_DIRECTIONS = 6
_ADAPTER = FinetuneParams(dataset="d", rank=3, batch_size=2)


def _config() -> ModelConfig:
    return replace(tiny_config(), n_layers=1)


def _wide(tree: Any) -> Any:
    """Floats in float64; codes as they are."""
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64) if x.dtype == jnp.float32 else x, tree)


def _pairs(seed: int = 0) -> TokenPairs:
    rng = np.random.default_rng(seed)
    mask = (rng.random((2, 9)) < 0.6).astype(np.float32)
    return TokenPairs(rng.integers(0, 300, (2, 9)).astype(np.int32), mask)


def _preferences() -> TokenPreferences:
    reference = np.asarray([[-20.0, -31.5], [-25.0, -28.0]], np.float32)
    return TokenPreferences(_pairs(1), _pairs(2), reference)


def _in_nf4(params: Params) -> Params:
    layers = [
        {**layer, **{name: {**layer[name], "weight": nf4_of(np.asarray(layer[name]["weight"]))} for name in TARGETS}}
        for layer in params["layers"]
    ]
    return {**params, "layers": layers}


def _lora() -> Training:
    return adapter_finetuning(_config(), initial_params(_config(), 0), _pairs(), _ADAPTER)


def _qlora() -> Training:
    return adapter_finetuning(_config(), _in_nf4(initial_params(_config(), 0)), _pairs(), _ADAPTER)


def _full() -> Training:
    settings = FinetuneParams(dataset="d", method="full", batch_size=2)
    return full_finetuning(_config(), initial_params(_config(), 0), _pairs(), settings)


def _distill(**named: Any) -> Training:
    settings = DistillParams(teacher="t", dataset="d", batch_size=2, alpha=0.7, temperature=3.0, **named)
    count = 1 + len(settings.more_teachers)
    teachers = [initial_params(_config(), seed) for seed in range(1, 1 + count)]
    return distilling([_config()] * (1 + count), initial_params(_config(), 0), teachers, _pairs(), settings)


def _align(method: Any) -> Training:
    settings = AlignParams(dataset="d", method=method, beta=0.3, rank=3, batch_size=2)
    return aligning(_config(), initial_params(_config(), 0), _preferences(), settings)


_TRAININGS = {
    "lora": _lora,
    "qlora": _qlora,
    "full": _full,
    "distill-standard": lambda: _distill(),
    "distill-progressive": lambda: _distill(strategy="progressive", epochs=3),
    "distill-ensemble": lambda: _distill(strategy="ensemble", more_teachers=("u",)),
    "dpo": lambda: _align("dpo"),
    "orpo": lambda: _align("orpo"),
}


@pytest.mark.parametrize("name", _TRAININGS)
def test_gradient_against_central_differences_agrees(name: str) -> None:
    """Along random directions through all that is trained, within 1e-3 relative."""
    with jax.enable_x64(True):
        training = _TRAININGS[name]()
        rng = np.random.default_rng(3)
        # Away from the start: an adapter's B is zero there, and so is the gradient of its A.
        tree = jax.tree.map(
            lambda x: jnp.asarray(np.asarray(x, np.float64) + 0.05 * rng.standard_normal(x.shape)), training.trained
        )
        frozen = _wide(training.frozen)
        batch, _ = next(training.batches(1 if name == "distill-progressive" else 0))
        measure = jax.jit(jax.value_and_grad(lambda t: training.loss_of(t, frozen, batch)[0]))
        loss, gradient = measure(tree)
        assert loss.dtype == jnp.float64
        assert np.isfinite(loss)
        for _ in range(_DIRECTIONS):
            way = jax.tree.map(lambda x: jnp.asarray(rng.standard_normal(x.shape)), tree)
            ahead, behind = (measure(jax.tree.map(lambda x, d, e=e: x + e * d, tree, way))[0] for e in (_STEP, -_STEP))
            exact = float(sum(jnp.vdot(g, d) for g, d in zip(*map(jax.tree.leaves, (gradient, way)), strict=True)))
            assert abs(exact) > 1e-6
            assert float(ahead - behind) / (2 * _STEP) == pytest.approx(exact, rel=1e-3)


def test_qlora_trains_beside_matrices_that_are_in_four_bits() -> None:
    """Every map of every layer, and nothing else, is NF4 in what stays frozen."""
    layer = _qlora().frozen["layers"][0]
    assert {name for name, part in layer.items() if isinstance(part, dict) and isinstance(part["weight"], Nf4)} == set(
        TARGETS
    )
