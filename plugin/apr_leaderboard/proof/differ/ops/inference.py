"""`apr eval` and `apr run`: likelihoods and greedy tokens against a forward pass in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.proof.differ.claims import ends, says
from apr_leaderboard.proof.differ.operation import Axis, Operation, Trial
from apr_leaderboard.proof.differ.tiny import DTYPES, SHAPE_AXES, TinyModel, shape_of
from apr_leaderboard.proof.kernels.decoder import forward, log_softmax

__all__ = ["INFERENCES"]

_TEXTS: Final = ("fg", "ab", "zyxw", "hello", "abcd", "the other", "abcd erab the", "supercalifragilistic words")
_CONTAINERS: Final = ("apr", "safetensors", "gguf", "gguf by export")
_CLEAR: Final = 1e-3
"""A next token counts as told where its logit is ahead by this much: beyond what float32 rounds."""
_WITHIN: Final = 1e-3


def _prepared(model: TinyModel, container: str, folder: Path) -> tuple[str, tuple[tuple[str, ...], ...]]:
    """The file to name and the commands that make it."""
    source = model.write(folder / "m")
    if container == "safetensors":
        return str(source), ()
    steps: tuple[tuple[str, ...], ...] = (("import", str(source), "-o", "m.apr"),)
    if container == "apr":
        return "m.apr", steps
    if container == "gguf by export":
        return "m.gguf", (*steps, ("export", "m.apr", "--format", "gguf", "-o", "m.gguf"))
    from apr_leaderboard.engine.reference.gguf_write import write_gguf
    from apr_leaderboard.engine.reference.tensors import HfFolder

    write_gguf(HfFolder(folder / "m"), folder / "m.gguf", "f32", "{}")
    return "m.gguf", ()


def _eval(values: Mapping[str, Any], folder: Path) -> Trial:
    model, text = shape_of(values, theta=values["theta"], eps=values["eps"], dtype=values["dtype"]), values["text"]
    ids = model.encode(text)
    file, steps = _prepared(model, values["container"], folder)
    odds = log_softmax(forward(model.config, model.tensors, ids))
    loss = -float(np.mean([odds[t, ids[t + 1]] for t in range(len(ids) - 1)])) if len(ids) > 1 else None
    command = ("eval", file, "--dataset", "custom", "--text", text, "--threshold", "1e30", "--json")
    out = f"{len(steps) + 1}.stdout"
    if loss is None:  # nothing is predicted of one token
        return Trial((*steps, command), (ends(len(steps) + 1, "refused", "one token has no likelihood"),))
    claims = [says(f"tokens, {values['container']}", out, ["tokens_evaluated"], len(ids))]
    claims.append(says(f"cross-entropy, {values['container']}", out, ["cross_entropy"], loss, _WITHIN))
    claims.append(says(f"perplexity, {values['container']}", out, ["perplexity"], float(np.exp(loss)), _WITHIN))
    return Trial((*steps, command), tuple(claims))


def _run(values: Mapping[str, Any], folder: Path) -> Trial:
    model, prompt = (
        shape_of(values, theta=values["theta"], eps=values["eps"], dtype=values["dtype"], scale=2.0),
        values["text"],
    )
    ids = model.encode(prompt)
    expected = _greedy(model, ids, values["tokens"])
    while not expected:  # an answer that ends at once, or is anyone's guess, shows nothing
        model = replace(model, seed=model.seed + 100)
        expected = _greedy(model, ids, values["tokens"])
    file, steps = _prepared(model, values["container"], folder)
    command = ("run", file, "-p", prompt, "-n", str(len(expected)), "--temperature", "0", "--json")
    out = f"{len(steps) + 1}.stdout"
    claims = (
        says(f"prompt tokens, {values['container']}", out, ["prompt_tokens"], len(ids)),
        says(f"greedy tokens, {values['container']}", out, ["tokens"], expected),
    )
    return Trial((*steps, command), claims)


def _greedy(model: TinyModel, prompt: Sequence[int], count: int) -> list[int]:
    """As far as each token is clearly ahead of the next likely, and up to the end of the text."""
    ids = list(prompt)
    for _ in range(count):
        logits = forward(model.config, model.tensors, ids)[-1]
        best, second = (int(i) for i in np.argsort(-logits)[:2])
        if logits[best] - logits[second] < _CLEAR or best >= len(model.tokens) - 3:
            break
        ids.append(best)
    return ids[len(prompt) :]


_MORE: Final = (
    Axis("text", _TEXTS),
    Axis("container", _CONTAINERS),
    Axis("theta", (10000.0, 500.0, 1e6)),
    Axis("eps", (1e-6, 1e-2)),
    Axis("dtype", DTYPES),
)

INFERENCES: Final = (
    Operation(
        "eval-perplexity",
        "mean of -log p(next token) of a float64 forward pass (RMSNorm, RoPE, grouped attention, SwiGLU), and its exp",
        (*SHAPE_AXES, *_MORE),
        _eval,
    ),
    Operation(
        "run-greedy",
        "the likeliest token of the same forward pass, again and again, as long as it is clearly ahead",
        (*SHAPE_AXES, *_MORE, Axis("tokens", (1, 2, 4, 8))),
        _run,
    ),
)
