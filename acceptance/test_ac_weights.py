"""Merging, pruning and quantizing do to the weights what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.texts import HELD_OUT, held_out_text, token_ids
from apr_leaderboard.criteria.weighing import (
    conflicts,
    largest_gap,
    magnitude_mask,
    norm_drift,
    slerp_of,
    tensors_of,
    ties_of,
    wanda_mask,
    zero_share,
)
from apr_leaderboard.criteria.working import merge, prune, quantize, weights_bytes
from apr_leaderboard.model.stage import MergeParams, PruneParams, QuantizeParams
from apr_leaderboard.proof import NotHere
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.measuring import text_perplexity

_TENTH = 0.1


@pytest.mark.criterion("AC-006")
@pytest.mark.falsified_by("merge-shrinks")
def test_slerp_keeps_each_tensors_norm_within_five_percent(trial: Trial) -> None:
    """Halfway between a model and a tuning of it."""
    first, second = specialists(trial)
    a = tensors_of(trial.imported(first))
    b, merged = tensors_of(trial.imported(second), a), tensors_of(merge(trial, _SLERP, first, second), a)
    drift, where = norm_drift(merged, a, b, 0.5)
    trial.measure(f"norm drift ({where})", drift, "at most 0.05", drift <= 0.05)


@pytest.mark.criterion("AC-006")
@pytest.mark.falsified_by("merge-shrinks")
def test_slerp_is_the_great_circle_between_two_models(trial: Trial) -> None:
    """Every value, against Shoemake's formula in float64."""
    first, second = specialists(trial)
    a = tensors_of(trial.imported(first))
    wanted = slerp_of(a, tensors_of(trial.imported(second), a), 0.5)
    gap, where = largest_gap(tensors_of(merge(trial, _SLERP, first, second), a), wanted)
    trial.measure(f"largest gap to the formula ({where})", gap, "below 1e-4", gap < 1e-4)


@pytest.mark.criterion("AC-007")
@pytest.mark.falsified_by("ties-is-a-plain-mean")
def test_ties_leaves_fewer_sign_conflicts_than_there_were(trial: Trial) -> None:
    """Entries on which task vectors pull apart; after merging, those that still hold a pull against their own side."""
    models, base = [*specialists(trial)], trial.source()
    weights = tensors_of(base)
    _, tasks = ties_of(weights, [tensors_of(one, weights) for one in models], _TIES.density or 0.2)
    merged = tensors_of(merge(trial, _TIES, *models, base=base), weights)
    before, after = conflicts(weights, merged, tasks)
    trial.tell("conflicts before", before)
    trial.measure("conflicts after", after, f"at most a thousandth of the {before} before", after <= before / 1000)
    trial.measure("conflicts that could go", before, "at least 1", before > 0)


@pytest.mark.criterion("AC-007")
@pytest.mark.falsified_by("ties-is-a-plain-mean")
def test_ties_is_what_its_paper_says(trial: Trial) -> None:
    """Every value, against Yadav et al.'s algorithm in float64; ties between equal magnitudes may fall either way."""
    models, base = [*specialists(trial)], trial.source()
    weights = tensors_of(base)
    wanted, _ = ties_of(weights, [tensors_of(one, weights) for one in models], _TIES.density or 0.2)
    merged = tensors_of(merge(trial, _TIES, *models, base=base), weights)
    near = [np.isclose(merged[name], wanted[name], rtol=1e-4, atol=1e-6) for name in weights]
    share = sum(int(one.sum()) for one in near) / sum(one.size for one in near)
    trial.measure("share of values as in the paper", share, "at least 0.999", share >= 0.999)


@pytest.mark.criterion("AC-008")
@pytest.mark.falsified_by("prune-takes-nine-tenths")
def test_wanda_at_a_tenth_costs_less_than_five_percent_of_perplexity(trial: Trial) -> None:
    """A tenth of the weights gone, the held-out text predicted nearly as before."""
    dense = trial.model()
    pruned = prune(trial, PruneParams(method="wanda", target_ratio=_TENTH))
    gone = zero_share(tensors_of(pruned))
    trial.tell("share of the matrices that is zero", gone)
    before, after = text_perplexity(trial, dense), text_perplexity(trial, pruned)
    trial.tell("perplexity before", before)
    trial.measure("perplexity lost", after / before - 1, "below 0.05", after / before - 1 < 0.05)
    trial.measure("share pruned", gone, "within 0.01 of 0.1", abs(gone - _TENTH) < 0.01)


@pytest.mark.criterion("AC-008")
@pytest.mark.falsified_by("wanda-is-magnitude")
def test_wandas_mask_is_not_that_of_magnitude(trial: Trial) -> None:
    """What is zero in the first matrix is not simply what was smallest in it, neither by rows nor in all."""
    name = "model.layers.0.self_attn.q_proj.weight"
    dense = tensors_of(trial.model(), [name])[name]
    zero = tensors_of(prune(trial, PruneParams(method="wanda", target_ratio=_TENTH)), [name])[name] == 0
    smallest = np.abs(dense) <= np.sort(np.abs(dense), axis=None)[int(zero.sum()) - 1]
    for what, mask in (("by rows", magnitude_mask(dense, _TENTH)), ("in all", smallest)):
        same = float((zero & mask).sum() / max(1, zero.sum()))
        trial.measure(f"shared with magnitude's mask {what}", same, "below 0.95", same < 0.95)
    trial.measure("zeros in the first matrix", int(zero.sum()), "at least 1", zero.any())


@pytest.mark.criterion("AC-008")
@pytest.mark.falsified_by("wanda-is-magnitude")
def test_wandas_mask_is_that_of_its_paper(trial: Trial) -> None:
    """What is zero in the first matrix, against |W| ||x|| over a calibration text that this side reads too."""
    name = "model.layers.0.self_attn.q_proj.weight"
    source = trial.source()
    if source.checkpoint is None or source.checkpoint.format != "hf":
        raise NotHere("needs a source in the Hugging Face layout, whose activations this side can compute")
    text = held_out_text(trial, HELD_OUT)
    ids = token_ids(source, text)
    weights = tensors_of(source)
    pruned = prune(
        trial,
        PruneParams(
            method="wanda", target_ratio=_TENTH, calibration="text", calibration_tokens=len(ids),
            calibration_window=len(ids),
        ),
        trial.file("calibration.txt", text),
    )  # fmt: skip
    seen = weights["model.embed_tokens.weight"][ids]
    seen = seen / np.sqrt((seen**2).mean(axis=1, keepdims=True) + 1e-6)
    seen = seen * weights["model.layers.0.input_layernorm.weight"]
    wanted = wanda_mask(weights[name], np.sqrt((seen**2).sum(axis=0)), _TENTH)
    zero = tensors_of(pruned, [name])[name] == 0
    same = float((zero & wanted).sum() / wanted.sum())
    trial.measure("shared with Wanda's mask", same, "at least 0.99", same >= 0.99)


@pytest.mark.criterion("AC-009")
@pytest.mark.falsified_by("int4-is-fp16")
def test_an_int4_file_is_under_half_of_fp16(trial: Trial) -> None:
    """Bytes on the disk."""
    small = weights_bytes(quantize(trial, QuantizeParams(scheme="int4")))
    half = weights_bytes(quantize(trial, QuantizeParams(scheme="fp16")))
    trial.tell("int4", small, "bytes")
    trial.tell("fp16", half, "bytes")
    share = small / half
    trial.measure("int4 / fp16", share, "below 0.5, and 0.25 at least: four bits of sixteen", 0.25 <= share < 0.5)


_SLERP = MergeParams(strategy="slerp", t=0.5)
_TIES = MergeParams(strategy="ties", density=0.2, models=("a", "b"))


def specialists(trial: Trial) -> tuple[Made, Made]:
    """Two tunings of the smoke model, the same for every engine. Raises `NotHere` for a model that has none."""
    if trial.profile != "smoke":
        raise NotHere(f"needs two tunings of {trial.asked.model}")
    return trial.source("smoke-specialist-a"), trial.source("smoke-specialist-b")
