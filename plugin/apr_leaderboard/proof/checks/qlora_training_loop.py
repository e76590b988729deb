"""Training a low-rank adapter over frozen weights: what it may change, what it starts from, what it counts."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof.check import expect, measured, proved, tested
from apr_leaderboard.proof.kernels import lora, nf4
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import FINETUNE, adapter_of, epoch_losses, finetuned
from apr_leaderboard.proof.nothere import NotHere
from apr_leaderboard.proof.sampling import for_all, strategies
from apr_leaderboard.proof.solver import prove, z3
from apr_leaderboard.proof.terms import loss_is_never_negative, share, shares_leak
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]

Tensors = dict[str, NDArray[np.float32]]


def base_is_frozen(tamper: Callable[[Tensors], Tensors], lab: Lab) -> str:
    """What no adapter sits on comes out bit for bit: embeddings, norms, biases, output layer."""
    made = finetuned(lab)
    adapter, _ = adapter_of(made)
    base, found = read_tensors(lab.model().checkpoint), tamper(read_tensors(made.checkpoint))
    stems = {name.removeprefix("base_model.model.").partition(".lora_")[0] for name in adapter}
    frozen = [name for name in base if name.removesuffix(".weight") not in stems]
    changed = [name for name in frozen if not np.array_equal(base[name], found[name])]
    expect(not changed, f"{len(changed)} tensors without an adapter changed: {changed[:3]}")
    return f"{lab.engine.name}: {len(frozen)} of {len(base)} tensors unchanged"


def starts_at_the_base(forward: Callable[..., list[Any]]) -> str:
    """B = 0 gives W x for all real W, A, x and alpha: maps 2 x 3, r = 1 and 2."""
    for rank in (1, 2):
        w = [[z3.Real(f"w{i}{j}") for j in range(3)] for i in range(2)]
        a = [[z3.Real(f"a{i}{j}") for j in range(3)] for i in range(rank)]
        x = [z3.Real(f"x{j}") for j in range(3)]
        zero = [[z3.RealVal(0)] * rank for _ in range(2)]
        out = forward(w, a, zero, z3.Real("alpha"), x)
        for got, want in zip(out, lora.matvec(w, x), strict=True):
            prove(z3.simplify(got - want, som=True) == 0)
    return "z3: maps 2 x 3, r = 1, 2, all real entries"


def response_alone_counts(shift: int, lab: Lab) -> str:
    """The engine's mask is 1 on the answer and its end token and 0 on the prompt: every length up to 5 of both.

    Raises `NotHere` for another engine than the reference, the one whose mask can be asked for.
    """
    if lab.engine.name != "reference":
        raise NotHere(f"needs the mask of the loss, which the engine {lab.engine.name} does not show")
    from apr_leaderboard.engine.reference.chat import ChatRenderer
    from apr_leaderboard.engine.reference.pairs import Pair, tokenize_pairs
    from apr_leaderboard.engine.reference.tokenizer import codec_from_hf
    from apr_leaderboard.model.generation import Message, Prompt

    made = lab.specimen()
    if made.checkpoint is None:
        raise HarnessError("the specimen has no checkpoint")
    codec = codec_from_hf(made.checkpoint.path)
    renderer = ChatRenderer(codec)
    end = codec.eos_ids[0]
    for asked, answered in product(range(1, 6), repeat=2):
        found = tokenize_pairs([Pair("q" * asked, "a" * answered)], codec, end, 128)
        _, prompt = renderer.encode(Prompt(task_id="t", messages=(Message(role="user", content="q" * asked),)))
        first, last = len(prompt) + shift, len(prompt) + answered + 1
        want = (np.arange(found.mask.shape[1]) >= first) & (np.arange(found.mask.shape[1]) < last)
        same = np.array_equal(found.mask[0].astype(bool), want)
        expect(same, f"{asked} letters asked, {answered} answered: the mask begins elsewhere than the answer")
        ids = found.tokens[0][want].tolist()
        expect(ids == [*codec.encode("a" * answered), end], f"{asked}, {answered}: the mask is on {ids}")
    return f"{lab.engine.name}: questions and answers of 1 to 5 letters, 25 pairs"


def loss_falls_within_three_epochs(order: Callable[[list[float]], list[float]], lab: Lab) -> str:
    """Of three epochs the last has the lower mean loss."""
    losses = order(epoch_losses(finetuned(lab)))
    expect(losses[-1] < losses[0], f"{losses[0]:.4f} at first, {losses[-1]:.4f} at last")
    return f"{lab.engine.name}: {losses[0]:.3f} to {losses[-1]:.3f} in {len(losses)} epochs"


def shapes_agree(forward: Callable[..., list[Any]]) -> str:
    """The adapted output has the base output's shape: every in, out and r up to 4."""
    for n_in, n_out, rank in product(range(1, 5), repeat=3):
        w, a, b = (
            [[1.0] * columns for _ in range(rows)] for rows, columns in ((n_out, n_in), (rank, n_in), (n_out, rank))
        )
        found = len(forward(w, a, b, 2.0, [1.0] * n_in))
        expect(found == n_out, f"[{n_out}, {n_in}], r = {rank}: {found} outputs")
    return "every in, out and r up to 4"


def update_stays_low_rank(rank: int, lab: Lab) -> str:
    """What training changed in each map has the adapter's rank at most; singular values beyond it are rounding."""
    made = finetuned(lab)
    base, found = read_tensors(lab.model().checkpoint), read_tensors(made.checkpoint)
    seen = 0
    for name, values in found.items():
        change = values.astype(np.float64) - base[name]
        if change.ndim == 2 and change.any():
            sizes = np.linalg.svd(change, compute_uv=False)
            seen += 1
            expect(sizes[rank] < 1e-4 * sizes[0], f"{name}: singular value {rank + 1} is {sizes[rank]:.2g}")
    expect(seen > 0, "no map changed")
    return f"{lab.engine.name}: {seen} maps changed, each by rank {rank} at most"


def quantized_base_runs(dequantize: Callable[..., Any]) -> str:
    """h = dequant(W) x + (alpha / r) B A x, W in NF4, against the definition of each weight."""

    def holds(n_out: int, halves: int, rank: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n_in, block = 2 * halves, 2 * halves
        w = rng.standard_normal((n_out, n_in))
        packed, scales = nf4.quantize(w.reshape(-1), block)
        a, b, x = rng.standard_normal((rank, n_in)), rng.standard_normal((n_out, rank)), rng.standard_normal(n_in)
        dense = np.asarray(dequantize(packed, scales, block)).reshape(n_out, n_in)
        got = np.asarray(lora.forward(dense, a, b, 2.0, list(x)))
        one = [nf4.dequantize_one(packed, scales, block, i) for i in range(n_out * n_in)]
        want = np.array(one).reshape(n_out, n_in) @ x + (2.0 / rank) * b @ (a @ x)
        worst = float(np.abs(got - want).max())
        expect(worst < 1e-9, f"{worst:.2g} apart: [{n_out}, {n_in}], r = {rank}, seed {seed}")
        gap = np.abs(dense - w).max() / np.abs(w).max()
        expect(gap <= 0.152, f"a weight is {gap:.3f} of the largest away from what it was")

    whole = strategies.integers
    return for_all(holds, whole(1, 5), whole(1, 6), whole(1, 3), whole(0, 9999), examples=80)


def _nudge_embedding(tensors: Tensors) -> Tensors:
    name = next(name for name in tensors if "embed" in name)
    return {**tensors, name: tensors[name] + np.float32(1e-6)}


def _starts_elsewhere(w: Any, a: Any, b: Any, alpha: Any, x: Any) -> list[Any]:
    return lora.forward(w, a, [[entry + 1 for entry in row] for row in b], alpha, x)


def _in_the_rank(w: Any, a: Any, b: Any, alpha: Any, x: Any) -> list[Any]:
    del b, alpha, w
    return lora.matvec(a, x)


CHECKS: Final = (
    measured("FALSIFY-QT-001", base_is_frozen, lambda tensors: tensors, _nudge_embedding),
    proved("FALSIFY-QT-002", starts_at_the_base, lora.forward, _starts_elsewhere),
    measured("FALSIFY-QT-003", response_alone_counts, 0, -1),
    proved("FALSIFY-QT-004", loss_is_never_negative, share, shares_leak),
    measured("FALSIFY-QT-005", loss_falls_within_three_epochs, lambda losses: losses, lambda losses: losses[::-1]),
    proved("FALSIFY-QT-006", shapes_agree, lora.forward, _in_the_rank),
    measured("FALSIFY-QT-007", update_stays_low_rank, FINETUNE.rank, FINETUNE.rank - 1),
    tested(
        "FALSIFY-QT-008", quantized_base_runs, nf4.dequantize, lambda p, s, block: nf4.dequantize(p, s[::-1], block)
    ),
)
