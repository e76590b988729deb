"""A forward pass, operation by operation: what an engine shows of its own, beside float64.

Every operation is looked at twice. Beside the float64 pass, its result shows how far the whole has drifted; computed in
float64 from the engine's own inputs, it shows whether this very operation is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.criteria.texts import need_hf, token_ids
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.proof import NotHere
from apr_leaderboard.proof.kernels import decoder
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CLASSES", "PROMPT", "Gap", "Pass", "gaps", "own_gaps", "pass_of_the_engine", "pass_of_the_oracle"]

Floats = NDArray[np.float64]

PROMPT: Final = "What is 2+2?"
"""What `apr trace` traces; it takes no other."""
_TRACE_SECONDS: Final = 120.0
_HEADER: Final = 12
_TOKENS: Final = re.compile(r"Token ids:\s*\[([\d, ]+)\]")

CLASSES: Final[Mapping[str, tuple[str, ...]]] = {
    "RMSNorm": ("attn_norm", "ffn_norm", "final_norm"),
    "RoPE": ("q_post_rope", "k_post_rope"),
    "GQA": ("attention",),
    "SwiGLU": ("ffn_swigl",),
    "linear": ("qkv_bias", "attn_out", "ffn_gate", "ffn_up", "ffn_out", "lm_head"),
}
"""The operations of each kind, by the names that a trace gives them. The first four are class E."""


@dataclass(frozen=True)
class Pass:
    """A forward pass over `tokens`: operation -> its result, one row a token (the logits: the last token's alone)."""

    tokens: tuple[int, ...]
    results: Mapping[str, Floats]


@dataclass(frozen=True)
class Gap:
    """How far an operation's result lies from another, as a share of the largest value: the largest, and the mean."""

    operation: str
    largest: float
    mean: float


class _Model:
    """A small model's weights and shapes, in float64."""

    def __init__(self, made: Made) -> None:
        need_hf(made)
        assert made.checkpoint is not None
        self.config = json.loads((made.checkpoint.path / "config.json").read_text(encoding="utf-8"))
        found = read_tensors(made.checkpoint)
        self.weights = {name: np.asarray(values, np.float64) for name, values in found.items()}

    def layer(self, index: int, name: str) -> Floats:
        """One of a layer's tensors."""
        return self.weights[f"model.layers.{index}.{name}"]

    @property
    def heads(self) -> tuple[int, int]:
        """Of queries, and of keys and values."""
        return self.config["num_attention_heads"], self.config["num_key_value_heads"]

    def split(self, joined: Floats) -> tuple[Floats, Floats, Floats]:
        """q, k and v [T, heads, d] of rows that hold all three."""
        heads, shared = self.heads
        dim = joined.shape[1] // (heads + 2 * shared)
        parts = joined.reshape(len(joined), -1, dim)
        return parts[:, :heads], parts[:, heads : heads + shared], parts[:, heads + shared :]


Lookup = Callable[[str], Floats]


def _operations(model: _Model, tokens: tuple[int, ...]) -> list[tuple[str, Callable[[Lookup], Floats]]]:
    """Every operation in order, as a function of the results before it."""
    eps, theta = model.config["rms_norm_eps"], model.config["rope_theta"]
    table = model.weights["model.embed_tokens.weight"]
    steps: list[tuple[str, Callable[[Lookup], Floats]]] = [("layer-0/embedding", lambda at: table[list(tokens)])]
    before = "layer-0/embedding"
    for index in range(model.config["num_hidden_layers"]):
        steps += _layer_operations(model, index, before, eps, theta)
        before = f"layer-{index}/post_ffn_residual"
    last, head = before, model.weights.get("lm_head.weight", table)
    final = model.weights["model.norm.weight"]
    steps.append(("final_norm", lambda at: decoder.rms_norm(at(last), final, eps)))
    steps.append(("lm_head", lambda at: at("final_norm")[-1:] @ head.T))
    return steps


def _layer_operations(
    model: _Model, index: int, before: str, eps: float, theta: float
) -> list[tuple[str, Callable[[Lookup], Floats]]]:
    own = f"layer-{index}/"

    def weight(name: str) -> Floats:
        return model.layer(index, f"{name}.weight")

    def qkv(at: Lookup) -> Floats:
        h = at(own + "attn_norm")
        parts = [
            h @ weight(f"self_attn.{name}_proj").T + model.layer(index, f"self_attn.{name}_proj.bias") for name in "qkv"
        ]
        return np.concatenate(parts, axis=1)

    def turned(at: Lookup, which: int) -> Floats:
        part = model.split(at(own + "qkv_bias"))[which]
        return decoder.rope(part, theta).reshape(len(part), -1)

    def attention(at: Lookup) -> Floats:
        heads, shared = model.heads
        q, k = at(own + "q_post_rope"), at(own + "k_post_rope")
        v = model.split(at(own + "qkv_bias"))[2]
        length = len(q)
        mixed = decoder.attention(q.reshape(length, heads, -1), k.reshape(length, shared, -1), v)
        return mixed.reshape(length, -1)

    def gated(at: Lookup) -> Floats:
        gate = at(own + "ffn_gate")
        mixed: Floats = gate / (1 + np.exp(-gate)) * at(own + "ffn_up")
        return mixed

    return [
        (own + "attn_norm", lambda at: decoder.rms_norm(at(before), model.layer(index, "input_layernorm.weight"), eps)),
        (own + "qkv_bias", qkv),
        (own + "q_post_rope", lambda at: turned(at, 0)),
        (own + "k_post_rope", lambda at: turned(at, 1)),
        (own + "attention", attention),
        (own + "attn_out", lambda at: at(own + "attention") @ weight("self_attn.o_proj").T),
        (own + "post_attn_residual", lambda at: at(before) + at(own + "attn_out")),
        (
            own + "ffn_norm",
            lambda at: decoder.rms_norm(
                at(own + "post_attn_residual"), model.layer(index, "post_attention_layernorm.weight"), eps
            ),
        ),
        (own + "ffn_gate", lambda at: at(own + "ffn_norm") @ weight("mlp.gate_proj").T),
        (own + "ffn_up", lambda at: at(own + "ffn_norm") @ weight("mlp.up_proj").T),
        (own + "ffn_swigl", gated),
        (own + "ffn_out", lambda at: at(own + "ffn_swigl") @ weight("mlp.down_proj").T),
        (own + "post_ffn_residual", lambda at: at(own + "post_attn_residual") + at(own + "ffn_out")),
    ]


def pass_of_the_oracle(source: Made, tokens: tuple[int, ...]) -> Pass:
    """The whole pass in float64."""
    results: dict[str, Floats] = {}
    for name, work in _operations(_Model(source), tokens):
        results[name] = work(results.__getitem__)
    return Pass(tokens, results)


def gaps(got: Pass, want: Pass) -> list[Gap]:
    """Beside another pass, in the order of the operations; those the engine does not show are left out."""
    return [_gap(name, got.results[name], right) for name, right in want.results.items() if name in got.results]


def own_gaps(source: Made, got: Pass) -> list[Gap]:
    """Each operation against float64 on the engine's own inputs, where it shows both."""
    found = []
    for name, work in _operations(_Model(source), got.tokens):
        try:
            right = work(got.results.__getitem__)
        except KeyError:
            continue
        if name in got.results:
            found.append(_gap(name, got.results[name], right))
    return found


def pass_of_the_engine(trial: Trial, made: Made, source: Made) -> Pass:
    """What the engine shows of its own pass over `PROMPT`.

    Raises `NotHere` for one that shows nothing, and as `need_hf`.
    """
    need_hf(source)
    if trial.sound_engine.name == "reference":
        return _of_the_reference(source)
    program = getattr(trial.sound_engine, "binary", None)
    if not isinstance(program, Path) or made.checkpoint is None or made.checkpoint.format != "apr":
        raise NotHere(f"the engine {trial.sound_engine.name} shows nothing of its forward pass")
    return _of_apr(trial, program, made.checkpoint.path, _Model(source).config["num_hidden_layers"])


def _of_apr(trial: Trial, program: Path, model: Path, n_layers: int) -> Pass:
    """`apr trace --payload --save-tensor all`: one file an operation, a header of 12 bytes and float32."""
    folder = trial.folder / f"trace-{model.parent.parent.name}"
    where = ("--save-tensor-dir", str(folder), "--save-tensor-layers", f"0..{n_layers}")
    argv = (str(program), "trace", str(model), "--payload", "--save-tensor", "all", *where)
    finished = run_command(Command(argv, timeout=_TRACE_SECONDS, name="apr"))
    trial.commands.append(" ".join(argv))
    said = _TOKENS.search(f"{finished.stdout_tail}\n{finished.stderr_tail}")
    if not finished.ok or said is None:
        raise EngineOutputError("apr", "no trace", command=argv, stderr=finished.stderr_tail)
    tokens = tuple(int(word) for word in said.group(1).split(","))
    results = {}
    for file in sorted(folder.rglob("*.bin")):
        values = np.frombuffer(file.read_bytes()[_HEADER:], "<f4").astype(np.float64)
        name = str(file.relative_to(folder).with_suffix(""))
        rows = 1 if name == "lm_head" else len(tokens)
        if values.size % rows:
            raise EngineOutputError("apr", f"{name}: {values.size} values for {rows} tokens", command=argv)
        results[name] = values.reshape(rows, -1)
    if "lm_head" not in results:
        raise EngineOutputError("apr", "the trace shows no logits (lm_head)", command=argv)
    return Pass(tokens, results)


def _of_the_reference(source: Made) -> Pass:
    """The reference engine's own functions, one after the other in float32, and the logits of its whole pass."""
    import jax
    import jax.numpy as jnp

    from apr_leaderboard.engine.reference import forward as engine
    from apr_leaderboard.engine.reference.weights import load_hf

    assert source.checkpoint is not None
    config, params = load_hf(source.checkpoint.path)
    tokens = token_ids(source, PROMPT)
    tables = engine.rope_tables(config, jnp.arange(len(tokens), dtype=jnp.int32))
    results: dict[str, Any] = {}
    x = results["layer-0/embedding"] = engine.embed(params, jnp.asarray(tokens))
    for index, layer in enumerate(params["layers"]):
        own, start = f"layer-{index}/", x
        h = results[own + "attn_norm"] = engine.rms_norm(x, layer["attn_norm"], config.norm_eps)
        q, k, v = (engine.linear(layer[name], h) for name in ("q_proj", "k_proj", "v_proj"))
        results[own + "qkv_bias"] = jnp.concatenate([q, k, v])
        q, k, v = (part.reshape(-1, config.head_dim, len(tokens)) for part in (q, k, v))
        q, k = engine.apply_rope(q, tables), engine.apply_rope(k, tables)
        mixed = engine.causal_attention(q, k, v, 1).reshape(-1, len(tokens))
        results |= {own + "q_post_rope": q.reshape(-1, len(tokens)), own + "k_post_rope": k.reshape(-1, len(tokens))}
        results |= {own + "attention": mixed, own + "attn_out": engine.linear(layer["o_proj"], mixed)}
        after = results[own + "post_attn_residual"] = start + results[own + "attn_out"]
        h = results[own + "ffn_norm"] = engine.rms_norm(after, layer["mlp_norm"], config.norm_eps)
        gate = results[own + "ffn_gate"] = engine.linear(layer["gate_proj"], h)
        up = results[own + "ffn_up"] = engine.linear(layer["up_proj"], h)
        inner = results[own + "ffn_swigl"] = jax.nn.silu(gate) * up
        results[own + "ffn_out"] = engine.linear(layer["down_proj"], inner)
        x = results[own + "post_ffn_residual"] = engine.block(
            config, layer, start, tables, lambda q, k, v: engine.causal_attention(q, k, v, 1)
        )
    results["final_norm"] = engine.rms_norm(x, params["final_norm"], config.norm_eps)
    rows = {name: np.asarray(values, np.float64).T for name, values in results.items()}
    logits = engine.forward(config, params, jnp.asarray([tokens], jnp.int32))[0, -1:]
    return Pass(tuple(tokens), {**rows, "lm_head": np.asarray(logits, np.float64)})


def _gap(name: str, got: Floats, want: Floats) -> Gap:
    if got.shape != want.shape:
        return Gap(name, float("inf"), float("inf"))
    size = float(np.abs(want).max()) or 1.0
    apart = np.abs(got - want) / size
    return Gap(name, float(apart.max()), float(apart.mean()))
