"""LoRA finetuning: the loss falls, merging adds exactly the adapter, and a model that could do something still can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from apr_leaderboard.model.stage import FinetuneParams
from apr_leaderboard.proof.asking import keeps
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import FINETUNE, adapter_of, epoch_losses, finetuned
from apr_leaderboard.proof.trained import FINETUNE_ON, TEACHER, harmful
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]


def loss_falls(order: Callable[[list[float]], list[float]], lab: Lab) -> str:
    """The last epoch's mean loss is below the first's."""
    losses = order(epoch_losses(finetuned(lab)))
    expect(len(losses) == FINETUNE.epochs, f"{len(losses)} epochs for {FINETUNE.epochs}")
    expect(losses[-1] < losses[0], f"mean loss {losses[0]:.4f} in the first epoch, {losses[-1]:.4f} in the last")
    return f"{lab.engine.name}: {' > '.join(f'{loss:.3f}' for loss in losses)}"


def merging_adds_the_adapter(scaled: Callable[[float], float], lab: Lab) -> str:
    """Every tensor of the merged model is the base's plus (alpha / r) B A, to float32; the adapter is not zero."""
    made = finetuned(lab)
    base, found = read_tensors(lab.model().checkpoint), read_tensors(made.checkpoint)
    adapter, scale = adapter_of(made)
    lost = sorted(base.keys() ^ found.keys())
    expect(not lost, f"{len(found)} tensors for {len(base)}: {', '.join(lost[:3])} in one of both alone")
    moved = 0
    for name, values in found.items():
        stem = f"base_model.model.{name.removesuffix('.weight')}"
        want: Any = base[name].astype(np.float64)
        if f"{stem}.lora_A.weight" in adapter:
            b, a = (adapter[f"{stem}.lora_{part}.weight"].astype(np.float64) for part in "BA")
            want = want + scaled(scale) * b @ a
            moved += bool(np.abs(b @ a).max() > 1e-5)
        worst = float(np.abs(values - want).max())
        expect(worst < 1e-5, f"{name}: {worst:.2g} from the base plus the adapter")
    expect(moved > 0, "the adapter is zero: nothing was learnt")
    return f"{lab.engine.name}: {len(found)} tensors, {moved} of them moved, alpha / r = {scale:g}"


def few_problems_are_lost(params: FinetuneParams, lab: Lab) -> str:
    """The smoke model's teacher, finetuned further, solves as many problems of the suite but for 2 %."""
    return keeps(lab, TEACHER, [params], 0.02)


CHECKS: Final = (
    measured("FALSIFY-EVAL-001", loss_falls, lambda losses: losses, lambda losses: losses[::-1]),
    measured("FALSIFY-EVAL-002", merging_adds_the_adapter, lambda scale: scale, lambda scale: 1.0),
    measured("FALSIFY-EVAL-003", few_problems_are_lost, FINETUNE_ON, harmful(FINETUNE_ON)),
)
