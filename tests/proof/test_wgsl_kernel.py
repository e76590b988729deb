"""The WGSL kernel: on an adapter where there is one, open where there is none."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from apr_leaderboard.engine.shaders import open_adapter
from apr_leaderboard.proof import NotHere
from apr_leaderboard.proof.kernels import wgsl


def test_kernel_without_wgpu_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named, so that the obligation is open with it."""
    monkeypatch.setitem(sys.modules, "wgpu", None)
    open_adapter.cache_clear()
    with pytest.raises(NotHere, match=r"pip install 'apr-leaderboard\[wgpu\]'"):
        wgsl.multiply(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))


def test_kernel_on_an_adapter_gives_the_product() -> None:
    """Of whole numbers, exactly, with edges in all three sizes."""
    a = np.arange(9 * 17, dtype=np.float32).reshape(9, 17) % 7
    b = np.arange(17 * 10, dtype=np.float32).reshape(17, 10) % 5
    try:
        product = wgsl.multiply(a, b)
    except NotHere as missing:
        pytest.skip(str(missing))
    assert np.array_equal(product, a @ b)
