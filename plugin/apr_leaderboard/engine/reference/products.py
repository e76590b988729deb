"""Products with weights: by XLA, or on a wgpu adapter for a process that is told so at its start.

On an adapter every product of matrices [m, k] @ [k, n] that `product` is asked for is one or more dispatches of a WGSL
kernel, on the way forward (W x, and B (A x) of a low-rank adapter) and on the way back (W^T g, and the gradients of
what is trained). What stands between products - norms, rotations, attention inside a head, the optimizer - stays XLA's.

XLA calls back into Python for it, with NumPy arrays, by a primitive of our own: `jax.pure_callback` puts its arguments
on a JAX device inside the callback, which can wait for threads that wait for callbacks (jax-ml/jax issue 24255).
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax.extend.core import Primitive
from jax.interpreters import mlir

from apr_leaderboard.engine.shaders import DeviceProduct
from apr_leaderboard.errors import EngineError

__all__ = ["compute_on", "product", "product_in_use"]


class _InUse:
    """The one product of this process; None: XLA's."""

    on_adapter: DeviceProduct | None = None


def compute_on(on_adapter: DeviceProduct | None) -> None:
    """Have every product from here on done there; None: by XLA. What was compiled before is forgotten."""
    _InUse.on_adapter = on_adapter
    jax.clear_caches()  # type: ignore[no-untyped-call]


def product_in_use() -> DeviceProduct | None:
    """Where products are done, and so who counted them; None: by XLA."""
    return _InUse.on_adapter


def product(a: Any, b: Any) -> jax.Array:
    """a @ b; on the adapter where there is one in use. Raises EngineError there for anything but float32.

    A matrix that is held in another form, as NF4, multiplies itself, and comes back here with what it stands for.
    """
    if _InUse.on_adapter is None or not isinstance(a, jax.Array | np.ndarray):
        found: jax.Array = a @ b
        return found
    if a.dtype != np.float32 or b.dtype != np.float32:
        raise EngineError("reference", f"wgpu multiplies float32; got {a.dtype} and {b.dtype}")
    return _on_adapter(a, b)


@jax.custom_vjp
def _on_adapter(a: jax.Array, b: jax.Array) -> jax.Array:
    result: jax.Array = _bind(a, b)
    return result


def _forward(a: jax.Array, b: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _on_adapter(a, b), (a, b)


def _backward(kept: tuple[jax.Array, jax.Array], given: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What nobody asks for, as the gradient of a frozen weight, is dropped before it is compiled."""
    a, b = kept
    return _on_adapter(given, b.T), _on_adapter(a.T, given)


_on_adapter.defvjp(_forward, _backward)


def _call(a: Any, b: Any) -> tuple[np.ndarray[Any, np.dtype[np.float32]]]:
    assert _InUse.on_adapter is not None
    return (_InUse.on_adapter(np.asarray(a), np.asarray(b)),)


def _shape_of(a: Any, b: Any) -> Any:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise TypeError(f"no product of shapes {a.shape} and {b.shape}; accepted: [m, k] and [k, n]")
    return jax.core.ShapedArray((a.shape[0], b.shape[1]), a.dtype)


def _lower(ctx: Any, a: Any, b: Any) -> Any:
    results, _, _ = mlir.emit_python_callback(
        ctx, _call, None, [a, b], ctx.avals_in, ctx.avals_out, has_side_effect=False, returns_token=False
    )
    return results


_PRODUCT: Any = Primitive("wgpu_product")  # Any: its methods have no types
_bind: Any = _PRODUCT.bind
_PRODUCT.def_abstract_eval(_shape_of)
_PRODUCT.def_impl(lambda a, b: jax.jit(_bind)(a, b))
mlir.register_lowering(_PRODUCT, _lower, platform="cpu")
