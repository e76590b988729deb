"""Parity with the Hugging Face definition of a Qwen2: each kernel, the whole forward pass, and the prompt's text."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.contract import Level
from apr_leaderboard.model.generation import Message, Prompt
from apr_leaderboard.proof.check import Check, expect, proved, tested
from apr_leaderboard.proof.kernels import decoder
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.nothere import NotHere
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.solver import prove, z3
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]

Floats = NDArray[np.float64]
Rope = Callable[[Floats, float], Floats]


@cache
def _compiled_rope(theta: float) -> Any:
    import jax
    import jax.numpy as jnp

    from apr_leaderboard.engine.reference.config import ModelConfig
    from apr_leaderboard.engine.reference.forward import apply_rope, rope_tables

    @jax.jit
    def turn(x: Any) -> Any:
        config = ModelConfig(
            family="qwen2", vocab_size=8, hidden_size=16, intermediate_size=8, n_layers=1, n_heads=2, n_kv_heads=1,
            head_dim=x.shape[1], context_length=64, rope_theta=theta, norm_eps=1e-6, tie_embeddings=True,
            qkv_bias=True, bos_id=None, eos_ids=(),
        )  # fmt: skip
        return apply_rope(x, rope_tables(config, jnp.arange(x.shape[2], dtype=jnp.int32)))

    return turn


def _engine_rope(x: Floats, theta: float) -> Floats:
    turned = np.asarray(_compiled_rope(theta)(x.transpose(1, 2, 0).astype(np.float32)), np.float64)
    return turned.transpose(2, 0, 1)


def rope_agrees(rope: Rope) -> str:
    """The engine's rotary embedding in float32 against complex numbers in float64."""

    def holds(theta: float, seed: int) -> None:
        x = np.random.default_rng(seed).standard_normal((12, 2, 8))
        worst = float(np.abs(rope(x, theta) - decoder.rope(x, theta)).max())
        expect(worst < 1e-4, f"{worst:.2g} apart: theta {theta}, seed {seed}")

    return for_all(holds, strategies.sampled_from([1e4, 1e6]), strategies.integers(0, 9999), examples=40)


def rope_is_relative(turn: Callable[[Any, Any, Any], tuple[Any, Any]]) -> str:
    """Turning keeps lengths, and a product of two turned vectors hangs on the difference of their angles: all reals.

    Positions stand for themselves through the cosine and sine of their angles.
    """
    qx, qy, kx, ky, cm, sm, cn, sn = z3.Reals("qx qy kx ky cos_m sin_m cos_n sin_n")
    circle = (cm * cm + sm * sm == 1, cn * cn + sn * sn == 1)
    (ax, ay), (bx, by) = turn((qx, qy), cm, sm), turn((kx, ky), cn, sn)
    # cos and sin of (m - n): the key stays where it is and the query is turned by the difference.
    cd, sd = cm * cn + sm * sn, sm * cn - cm * sn
    dx, dy = turn((qx, qy), cd, sd)
    prove(z3.simplify(ax * bx + ay * by - dx * kx - dy * ky, som=True) == 0, *circle)
    prove(ax * ax + ay * ay == (qx * qx + qy * qy) * (cm * cm + sm * sm), *circle)
    return "z3: one plane, all real queries, keys and angles"


def _engine_attention(q: Floats, k: Floats, v: Floats) -> Floats:
    from apr_leaderboard.engine.reference.forward import causal_attention

    columns = [np.asarray(x.transpose(1, 2, 0), np.float32) for x in (q, k, v)]
    return np.asarray(_compiled(causal_attention)(*columns), np.float64).transpose(2, 0, 1)


@cache
def _compiled(attend: Any) -> Any:
    import jax

    return jax.jit(lambda q, k, v: attend(q, k, v, 1))


def attention_agrees(attend: Callable[[Floats, Floats, Floats], Floats]) -> str:
    """Grouped queries, causal: 6 heads on 2, against one head and one position at a time."""

    def holds(spread: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        q = spread * rng.standard_normal((7, 6, 8))
        k, v = rng.standard_normal((2, 7, 2, 8))
        worst = float(np.abs(attend(q, k, v) - decoder.attention(q, k, v)).max())
        expect(worst < 1e-4, f"{worst:.2g} apart: spread {spread}, seed {seed}")

    return for_all(holds, strategies.floats(0.1, 5.0), strategies.integers(0, 9999), examples=40)


def swiglu_agrees(activate: Callable[[Any], Any]) -> str:
    """down(silu(gate x) * up x) as the engine writes it, in float32."""
    import jax
    import jax.numpy as jnp

    from apr_leaderboard.engine.reference.forward import linear

    @jax.jit
    def engine(x: Any, gate: Any, up: Any, down: Any) -> Any:
        inner = activate(linear({"weight": gate}, x)) * linear({"weight": up}, x)
        return linear({"weight": down}, inner)

    def holds(spread: float, seed: int) -> None:
        rng = np.random.default_rng(seed)
        x = spread * rng.standard_normal((4, 8))
        gate, up, down = rng.standard_normal((12, 8)), rng.standard_normal((12, 8)), rng.standard_normal((8, 12))
        got = np.asarray(engine(*(jnp.asarray(a, jnp.float32) for a in (x.T, gate, up, down))), np.float64)
        want = decoder.swiglu(x, gate, up, down)
        worst = float(np.abs(got - want.T).max() / max(1.0, np.abs(want).max()))
        expect(worst < 1e-5, f"{worst:.2g} apart: spread {spread}, seed {seed}")

    return for_all(holds, strategies.floats(0.1, 10.0), strategies.integers(0, 9999), examples=40)


def _silu(x: Any) -> Any:
    import jax

    return jax.nn.silu(x)


def _gelu(x: Any) -> Any:
    import jax

    return jax.nn.gelu(x)


def same_greedy_tokens(shift: int, lab: Lab) -> str:
    """The engine's forward pass on the specimen and float64's put the same token first at every position.

    A position whose two best logits are closer than float32 can tell (1e-3) decides nothing and is left out. Raises
    `NotHere` for another engine than the reference, the one whose logits can be asked for.
    """
    if lab.engine.name != "reference":
        raise NotHere(f"needs the logits of every position, which the engine {lab.engine.name} does not give")
    import jax
    import jax.numpy as jnp

    from apr_leaderboard.engine.reference.forward import forward
    from apr_leaderboard.engine.reference.weights import load_hf

    made = lab.specimen()
    if made.checkpoint is None:
        raise HarnessError("the specimen has no checkpoint")
    config, params = load_hf(made.checkpoint.path)
    raw = json.loads((made.checkpoint.path / "config.json").read_text(encoding="utf-8"))
    tensors = read_tensors(made.checkpoint)
    run = jax.jit(forward, static_argnums=0)
    decided = 0
    for seed in range(4):
        tokens = np.random.default_rng(seed).integers(0, 256, 24)
        got = np.asarray(run(config, params, jnp.asarray(tokens[None] + shift, jnp.int32))[0], np.float64)
        want = decoder.forward(raw, tensors, tokens.tolist())
        worst = float(np.abs(got - want).max())
        expect(worst < 1e-3, f"logits {worst:.2g} apart, seed {seed}")
        best = np.sort(want, axis=1)
        clear = best[:, -1] - best[:, -2] > 1e-3
        decided += int(clear.sum())
        same = got.argmax(axis=1)[clear] == want.argmax(axis=1)[clear]
        expect(bool(same.all()), f"other tokens at {np.flatnonzero(~same)[:3].tolist()}, seed {seed}")
    return f"{lab.engine.name}: 4 texts of 24 tokens, {decided} positions decided, specimen"


def same_prompt(close: str, lab: Lab) -> str:
    """The reference engine's rendering against ChatML written out by hand: turns, roles, and the opened answer.

    Raises `NotHere` for another engine, which does not show what it renders.
    """
    if lab.engine.name != "reference":
        raise NotHere(f"needs the prompt as the engine renders it, which {lab.engine.name} does not show")
    from apr_leaderboard.engine.reference.chat import ChatRenderer
    from apr_leaderboard.engine.reference.tokenizer import codec_from_hf

    made = lab.specimen()
    if made.checkpoint is None:
        raise HarnessError("the specimen has no checkpoint")
    renderer = ChatRenderer(codec_from_hf(made.checkpoint.path))

    def holds(turns: list[tuple[str, str]], prefill: str) -> None:
        messages = tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]
        got = renderer.render(Prompt(task_id="t", messages=messages, prefill=prefill))
        want = "".join(f"<|im_start|>{role}\n{text}{close}\n" for role, text in turns)
        expect(got == f"{want}<|im_start|>assistant\n{prefill}", f"{turns!r} is rendered as {got!r}")

    turn = strategies.tuples(strategies.sampled_from(["system", "user", "assistant"]), strategies.text(max_size=20))
    turns = strategies.lists(turn, min_size=1, max_size=4)
    return f"{lab.engine.name}: {for_all(holds, turns, strategies.text(max_size=10), examples=100)}"


def _turn(vector: tuple[Any, Any], cos: Any, sin: Any) -> tuple[Any, Any]:
    x, y = vector
    return x * cos - y * sin, y * cos + x * sin


def _mirror(vector: tuple[Any, Any], cos: Any, sin: Any) -> tuple[Any, Any]:
    x, y = vector
    return x * cos - y * sin, y * cos - x * sin


def _interleaved(x: Floats, theta: float) -> Floats:
    order = np.argsort(np.concatenate([np.arange(0, 8, 2), np.arange(1, 8, 2)]))
    return _engine_rope(x[..., order], theta)


CHECKS: Final = (
    Check("FALSIFY-PARITY-003", Level.TESTED, same_prompt, "<|im_end|>", ""),
    Check("FALSIFY-PARITY-004", Level.MEASURED, same_greedy_tokens, 0, 1),
    tested("FALSIFY-PARITY-005", rope_agrees, _engine_rope, _interleaved),
    proved("FALSIFY-PARITY-006", rope_is_relative, _turn, _mirror),
    tested(
        "FALSIFY-PARITY-007",
        attention_agrees,
        _engine_attention,
        lambda q, k, v: _engine_attention(q, k[:, ::-1], v[:, ::-1]),
    ),
    tested("FALSIFY-PARITY-008", swiglu_agrees, _silu, _gelu),
)
