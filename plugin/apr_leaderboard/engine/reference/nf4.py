"""Frozen weights in four bits: NF4 blocks whose scales are quantised once more, multiplied without being unpacked.

Dettmers et al. 2023, "QLoRA", section 3. Weights are cut, row by row, into blocks of 64 that share a scale, the largest
magnitude among them; each weight becomes the nearest of sixteen quantiles of a normal distribution (appendix E). Double
quantisation: the scales, less their mean, become 8-bit floats in blocks of 256 with a float32 scale each. Together
0.516 bytes a weight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.engine.reference.products import product
from apr_leaderboard.engine.reference.tensors import Array

__all__ = ["BLOCK", "NF4_VALUES", "Nf4", "nf4_of", "through_nf4"]

BLOCK: Final = 64
"""Weights to a scale."""
_SCALE_BLOCK: Final = 256
"""Scales to a scale of theirs."""
_FLOAT8_MAX: Final = 448.0
"""Largest finite value of the 8-bit float with four exponent and three mantissa bits."""
_CHUNK_BLOCKS: Final = 1 << 16
"""Blocks quantised at a time: about 30 MB beside the weights themselves."""

NF4_VALUES: Final[tuple[float, ...]] = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
"""Dettmers et al. 2023, appendix E, in float32."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Nf4:
    """A frozen matrix [out, in] in NF4, which a product takes as if it were one; gradients go through, not to it.

    `codes`: uint8, two weights a byte, the first in the high half. `scales`: float8_e4m3fn, one for each block.
    `scale_scales`: float32, one for 256 scales; `scale_mean`: float32, their mean.
    """

    codes: Any
    scales: Any
    scale_scales: Any
    scale_mean: Any
    shape: tuple[int, int] = field(metadata={"static": True})

    @property
    def dtype(self) -> Any:
        """What its values are computed in."""
        return self.scale_scales.dtype

    def __matmul__(self, x: jax.Array) -> jax.Array:
        """W @ x for x [in, columns]."""
        product: jax.Array = _product(self, x)
        return product

    def block_scales(self) -> jax.Array:
        """float32, one for each block of 64 weights."""
        scales: jax.Array = self.scales.astype(jnp.float32)
        of_each = jnp.repeat(self.scale_scales, _SCALE_BLOCK, total_repeat_length=_up(scales.size, _SCALE_BLOCK))
        own: jax.Array = scales * of_each[: scales.size] + self.scale_mean
        return own

    def dequantized(self, dtype: Any = jnp.float32) -> jax.Array:
        """The matrix the codes stand for."""
        codes = jnp.stack([self.codes >> 4, self.codes & 15], axis=1).reshape(-1, BLOCK)
        values = jnp.asarray(NF4_VALUES, jnp.float32)[codes] * self.block_scales()[:, None]
        matrix: jax.Array = values.reshape(-1)[: math.prod(self.shape)].reshape(self.shape)
        return matrix.astype(dtype)


def nf4_of(weight: Array) -> Nf4:
    """The nearest NF4 codes of a matrix [out, in]; the last block is filled up with zeros, which NF4 holds exactly."""
    n_out, n_in = weight.shape
    flat = np.pad(weight.reshape(-1), (0, -weight.size % BLOCK)).reshape(-1, BLOCK)
    largest: Array = np.abs(flat).max(axis=1)
    codes = np.concatenate(
        [
            _nearest(flat[i : i + _CHUNK_BLOCKS], largest[i : i + _CHUNK_BLOCKS])
            for i in range(0, len(flat), _CHUNK_BLOCKS)
        ]
    )
    packed = (codes[0::2] << 4) | codes[1::2]
    scales, scale_scales, mean = _scales_of(largest)
    return Nf4(jnp.asarray(packed), jnp.asarray(scales), jnp.asarray(scale_scales), jnp.asarray(mean), (n_out, n_in))


def through_nf4(weight: Array) -> Array:
    """What is left of a matrix that was held in NF4."""
    return np.asarray(nf4_of(weight).dequantized())


def _nearest(blocks: Array, largest: Array) -> NDArray[np.uint8]:
    """Code of each weight; where two values are equally near, the lower."""
    values = np.asarray(NF4_VALUES)
    divisors = np.where(largest == 0, 1.0, largest).astype(np.float64)
    codes = np.searchsorted((values[1:] + values[:-1]) / 2, blocks.astype(np.float64) / divisors[:, None])
    return codes.astype(np.uint8).reshape(-1)


def _scales_of(largest: Array) -> tuple[NDArray[Any], Array, np.float32]:
    mean = np.float32(largest.mean())
    rest = np.pad(largest - mean, (0, -largest.size % _SCALE_BLOCK)).reshape(-1, _SCALE_BLOCK)
    scale_scales: Array = np.abs(rest).max(axis=1) / np.float32(_FLOAT8_MAX)
    divisors = np.where(scale_scales == 0, np.float32(1), scale_scales)
    scales = (rest / divisors[:, None]).astype(ml_dtypes.float8_e4m3fn)
    return scales.reshape(-1)[: largest.size], scale_scales, mean


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


@jax.checkpoint
def _product(weight: Nf4, x: jax.Array) -> jax.Array:
    # Recomputed on the way back: kept for it, the matrices would all be there at once, in full.
    return product(weight.dequantized(x.dtype), x)
