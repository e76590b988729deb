"""Matrix products in WGSL: which tiles, and on an adapter, which numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_leaderboard.engine.shaders import DeviceProduct, open_adapter
from apr_leaderboard.engine.shaders.product import Floats
from apr_leaderboard.engine.shaders.tiles import QUAD, product_shader, tile_for
from apr_leaderboard.errors import AdapterMissingError


@pytest.fixture(scope="module")
def product() -> DeviceProduct:
    """On the adapter that is here; skips where none is."""
    try:
        return DeviceProduct(open_adapter())
    except AdapterMissingError as missing:
        pytest.skip(str(missing))


def whole_numbers(m: int, n: int, seed: int) -> Floats:
    """Small enough that every sum of products is exact in float32, in whatever order."""
    return np.random.default_rng(seed).integers(-9, 10, (m, n)).astype(np.float32)


@settings(deadline=None)
@given(m=st.integers(1, 5000), n=st.integers(1, 5000))
def test_tile_of_any_shape_covers_it_and_is_no_larger_than_needed(m: int, n: int) -> None:
    """The workgroups reach the last row and column, and no workgroup lies wholly beyond."""
    tile = tile_for(m, n)
    across, down = tile.groups(m, n)
    width, height = QUAD * tile.quads * tile.across, tile.rows * tile.down
    assert (across - 1) * width < n <= across * width
    assert (down - 1) * height < m <= down * height
    assert tile.across * tile.down <= 32
    assert tile.rows * tile.quads * QUAD <= 128


def test_shader_of_a_tile_binds_threads_and_sums_as_the_tile_says() -> None:
    """One sum for each row and column group, and one store for each."""
    tile = tile_for(40, 40)
    text = product_shader(tile)
    assert f"@workgroup_size({tile.across}, {tile.down})" in text
    assert text.count("= vec4<f32>();") == tile.rows * tile.quads
    assert text.count("product[") == tile.rows * tile.quads
    assert text.count("fma(") == QUAD * tile.rows * tile.quads


@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 70), k=st.integers(1, 70), n=st.integers(1, 70), seed=st.integers(0, 99))
def test_product_of_any_shape_is_numpys(product: DeviceProduct, m: int, k: int, n: int, seed: int) -> None:
    """Whole numbers, so exactly; edges in every size."""
    a, b = whole_numbers(m, k, seed), whole_numbers(k, n, seed + 1)
    assert np.array_equal(product(a, b), a @ b)


def test_product_of_floats_is_within_the_bound_of_its_sums(product: DeviceProduct) -> None:
    """K eps sum |a b| (Higham 2002, section 3.1)."""
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((100, 300), (300, 90)))
    bound = 300 * np.finfo(np.float32).eps * (np.abs(a).astype(np.float64) @ np.abs(b))
    assert (np.abs(product(a, b) - a.astype(np.float64) @ b) <= bound).all()


def test_product_larger_than_a_buffer_is_cut_and_the_same(product: DeviceProduct) -> None:
    """By rows and by columns, each part a dispatch of its own."""
    small = DeviceProduct(product.adapter, largest=256)
    a, b = whole_numbers(50, 13, 1), whole_numbers(13, 61, 2)
    assert np.array_equal(small(a, b), a @ b)
    assert small.dispatches > 4
    with pytest.raises(ValueError, match="sums of 400 products do not fit the adapter's buffers of 256 numbers"):
        small(whole_numbers(1, 400, 1), whole_numbers(400, 1, 2))


def test_product_counts_dispatches_and_repeats_to_the_byte(product: DeviceProduct) -> None:
    """One for each product that fits."""
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in ((64, 200), (200, 48)))
    before = product.dispatches
    assert product(a, b).tobytes() == product(a, b).tobytes()
    assert product.dispatches == before + 2


def test_product_without_rows_needs_no_device(product: DeviceProduct) -> None:
    """Nothing to compute."""
    before = product.dispatches
    assert product(np.zeros((0, 3), np.float32), np.zeros((3, 2), np.float32)).shape == (0, 2)
    assert product.dispatches == before


@pytest.mark.parametrize(
    ("a", "b", "error", "words"),
    [
        (np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32), ValueError, r"shapes \(2, 3\) and \(2, 3\)"),
        (np.zeros(3, np.float32), np.zeros((3, 2), np.float32), ValueError, r"accepted: \[m, k\] and \[k, n\]"),
        (np.zeros((2, 3)), np.zeros((3, 2), np.float32), TypeError, "float64 and float32; accepted: float32"),
    ],
)
def test_product_of_what_does_not_fit_is_refused(
    product: DeviceProduct, a: Floats, b: Floats, error: type[Exception], words: str
) -> None:
    """By shape and by type."""
    with pytest.raises(error, match=words):
        product(a, b)
