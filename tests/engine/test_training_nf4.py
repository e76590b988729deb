"""NF4: its values and blocks against an independent oracle, its products, and what it takes to hold."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.fitting import tree_bytes
from apr_leaderboard.engine.reference.nf4 import BLOCK, NF4_VALUES, nf4_of, through_nf4
from apr_leaderboard.proof.kernels import nf4 as oracle

Floats = NDArray[np.float32]

_matrices = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40),
    elements=st.floats(-8, 8, width=32, allow_subnormal=False),
)


def _weights(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _padded(weight: Floats) -> NDArray[np.float64]:
    return np.pad(weight.reshape(-1).astype(np.float64), (0, -weight.size % BLOCK))


def test_values_are_the_oracles() -> None:
    """The sixteen published values, and those the construction gives."""
    assert NF4_VALUES == oracle.CODEBOOK
    np.testing.assert_allclose(NF4_VALUES, oracle.codebook(), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(_matrices)
def test_codes_of_any_matrix_are_the_oracles(weight: Floats) -> None:
    """Every weight gets the value nearest to it within its block, whatever the shape."""
    packed, _ = oracle.quantize(_padded(weight), BLOCK)
    np.testing.assert_array_equal(np.asarray(nf4_of(weight).codes), packed)


@pytest.mark.slow
@settings(max_examples=12, deadline=None)  # every shape is compiled anew
@given(_matrices)
def test_dequantized_matrix_is_the_oracles_with_the_same_scales(weight: Floats) -> None:
    """Code by code and block by block, to float32."""
    held = nf4_of(weight)
    wanted = oracle.dequantize(np.asarray(held.codes), np.asarray(held.block_scales(), np.float64), BLOCK)
    found = np.asarray(held.dequantized())
    assert found.shape == weight.shape
    np.testing.assert_allclose(found.reshape(-1), wanted[: weight.size], rtol=1e-6, atol=1e-30)


def test_scales_quantised_again_are_near_the_largest_magnitudes() -> None:
    """An 8-bit float with three mantissa bits is off by a sixteenth of the distance to the mean at most."""
    weight = _weights(64, 640)
    largest = np.abs(weight.reshape(-1, BLOCK)).max(axis=1)
    found = np.asarray(nf4_of(weight).block_scales())
    distance = np.abs(largest - largest.mean())
    assert (np.abs(found - largest) <= distance / 16 + np.abs(distance).max() * 2.0**-9 + 1e-6).all()
    assert len(np.unique(found)) > 50


def test_zeros_stay_zeros() -> None:
    """A matrix of zeros, and a zero beside large weights."""
    assert not through_nf4(np.zeros((3, 50), np.float32)).any()
    weight = _weights(2, 64)
    weight[0, 5] = 0.0
    assert through_nf4(weight)[0, 5] == 0.0


def test_product_is_that_of_the_dequantized_matrix() -> None:
    """Compiled or not; and its gradient reaches the columns."""
    held, x = nf4_of(_weights(24, 70)), jnp.asarray(_weights(70, 5, seed=1))
    wanted = through_nf4(_weights(24, 70)) @ np.asarray(x)
    np.testing.assert_allclose(held @ x, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda h, y: h @ y)(held, x), wanted, rtol=1e-4, atol=1e-5)
    gradient = jax.grad(lambda y: jnp.sum(held @ y))(x)
    np.testing.assert_allclose(gradient[:, 0], through_nf4(_weights(24, 70)).sum(axis=0), rtol=1e-4, atol=1e-5)


def test_matrix_takes_about_half_a_byte_a_weight() -> None:
    """Four bits, an 8-bit scale for 64, a float32 for 256 of those: 0.516 bytes."""
    assert tree_bytes(nf4_of(_weights(512, 512))) / 512**2 < 0.5163


def test_way_back_keeps_no_dequantized_matrix() -> None:
    """What a product leaves for its gradient is smaller than the matrix in full: it is unpacked anew."""
    held, x = nf4_of(_weights(256, 512)), jnp.asarray(_weights(512, 2))
    _, back = jax.vjp(lambda y: held @ y, x)
    assert tree_bytes(back) < 256 * 512 * 4 / 4
