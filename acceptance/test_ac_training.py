"""Training teaches: losses fall, margins grow, students learn, and NF4 saves memory."""

from __future__ import annotations

import json

import numpy as np
import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.hardware import need_wgpu, wgpu_used
from apr_leaderboard.criteria.losses import course_of, held_bytes, peak_bytes
from apr_leaderboard.criteria.memory import memory_of_7b, trained_for_memory
from apr_leaderboard.criteria.texts import perplexity_of
from apr_leaderboard.criteria.weighing import largest_gap, tensors_of
from apr_leaderboard.criteria.working import align
from apr_leaderboard.engine import on_backend
from apr_leaderboard.model.stage import AlignParams, StageName
from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.lab import Made

_LORA, _DISTILL, _WGPU = "recipe-a-quick-lora", "recipe-c-full-pipeline", "recipe-g-wgpu-proof"
_DPO = AlignParams(method="dpo", dataset="smoke-preferences", rank=16, learning_rate=5e-4, epochs=3, max_seq_len=192)


@pytest.mark.criterion("AC-003")
@pytest.mark.falsified_by("distil-forgets")
def test_a_distilled_student_predicts_held_out_answers_better(trial: Trial) -> None:
    """The teacher's kind of answers, from tasks that the student was not trained on."""
    student, text = trial.model(), held_out_answers(trial)
    taught = trial.stage(_DISTILL, StageName.DISTILL)
    weights = tensors_of(student)
    gap, _ = largest_gap(tensors_of(taught, weights), weights)
    trial.measure("largest change of a weight", gap, "above 0", gap > 0)
    before, after = perplexity_of(trial, student, text)[0], perplexity_of(trial, taught, text)[0]
    trial.tell("perplexity before", before)
    trial.measure("perplexity after", after, f"below {before:.4g}, the student's before", after < before)


@pytest.mark.criterion("AC-004")
@pytest.mark.falsified_by("lora-unlearns")
def test_the_loss_of_lora_falls(trial: Trial) -> None:
    """The last tenth of the steps against the first."""
    first, last = course_of(trial.stage(_LORA, StageName.FINETUNE), "loss").ends()
    trial.tell("loss in the first tenth", first)
    trial.measure("loss in the last tenth", last, f"below {first:.4g}, the first tenth's", last < first)


@pytest.mark.criterion("AC-004")
@pytest.mark.falsified_by("lora-leaves-the-base")
def test_lora_leaves_an_adapter_and_another_model(trial: Trial) -> None:
    """The adapter is not zero, and the merged model is not the one that came in."""
    trained = trial.stage(_LORA, StageName.FINETUNE)
    size = adapter_size(trained)
    trial.measure("largest value of B", size, "above 0", size > 0)
    base = tensors_of(trial.model())
    gap, _ = largest_gap(tensors_of(trained, base), base)
    trial.measure("largest change of a weight", gap, "above 0", gap > 0)


@pytest.mark.criterion("AC-005")
@pytest.mark.falsified_by("qlora-is-lora")
def test_qlora_holds_under_half_of_loras_memory(trial: Trial) -> None:
    """The frozen weights as measured; the whole, for a 7B, by what a weight was measured to take. On the same data.

    A smoke model's embeddings and adapters weigh as much as its matrices, and the engine's own code a hundred times as
    much as the model, so its total and its peak are told, and say little of a real one.
    """
    lora, qlora = trained_for_memory(trial, "lora"), trained_for_memory(trial, "qlora")
    for name, made in (("LoRA", lora), ("QLoRA", qlora)):
        frozen, trained, optimizer = held_bytes(made)
        trial.tell(f"{name}: frozen, trained and optimizer bytes", f"{frozen}, {trained}, {optimizer}")
        peak = peak_bytes(made)
        trial.tell(
            f"{name}: peak resident memory", "not told" if peak is None else peak, "" if peak is None else "bytes"
        )
    trial.tell("all that is held, QLoRA / LoRA", sum(held_bytes(qlora)) / sum(held_bytes(lora)))
    share = held_bytes(qlora)[0] / held_bytes(lora)[0]
    trial.measure("frozen weights, QLoRA / LoRA", share, "below 0.5", share < 0.5)
    whole = memory_of_7b(qlora) / memory_of_7b(lora)
    trial.measure("all of a 7B, QLoRA / LoRA", whole, "below 0.5", whole < 0.5)


@pytest.mark.criterion("AC-020")
@pytest.mark.falsified_by("dpo-prefers-the-rejected")
def test_the_dpo_loss_falls_over_three_epochs(trial: Trial) -> None:
    """Epoch by epoch."""
    losses = course_of(align(trial, _DPO, "smoke-teacher", "smoke-preferences.jsonl"), "loss").by_epoch()
    trial.tell("loss by epoch", ", ".join(f"{loss:.4f}" for loss in losses))
    trial.measure("epochs", len(losses), "3", len(losses) == 3)
    trial.measure("loss in the last epoch", losses[-1], f"below {losses[0]:.4g}, the first's", losses[-1] < losses[0])


@pytest.mark.criterion("AC-020")
@pytest.mark.falsified_by("dpo-prefers-the-rejected")
def test_dpo_widens_the_margin_of_rewards(trial: Trial) -> None:
    """The implicit reward of the chosen answer less that of the rejected one."""
    made = align(trial, _DPO, "smoke-teacher", "smoke-preferences.jsonl")
    first, last = course_of(made, "margin").ends()
    trial.tell("margin in the first tenth", first)
    trial.measure("margin in the last tenth", last, f"above {first:.4g}, the first tenth's", last > first)


@pytest.mark.criterion("AC-029")
@pytest.mark.falsified_by("wgpu-unlearns")
def test_the_loss_falls_over_two_epochs_on_wgpu(trial: Trial) -> None:
    """As AC-004, on that backend; and step by step the losses that the CPU has, where the engine can train on both."""
    found = need_wgpu(trial)
    course = course_of(trial.stage(_WGPU, StageName.FINETUNE), "loss")
    losses = course.by_epoch()
    trial.measure("epochs", len(losses), "at least 2", len(losses) >= 2)
    trial.measure("loss in the second epoch", losses[1], f"below {losses[0]:.4g}", losses[1] < losses[0])
    used = wgpu_used(trial, found)
    trial.measure("backend that was used", used.backend, "not the CPU", not used.backend.endswith("cpu"))
    trial.measure("jobs that gave it up for the CPU", used.given_up, "0", used.given_up == 0)
    trial.measure("jobs without a dispatch on it", ", ".join(used.idle) or "none", "none", not used.idle)
    on_cpu = on_backend(trial.sound_engine, "cpu")
    if on_cpu is not None:
        same = course_of(trial.stage(_WGPU, StageName.FINETUNE, on_cpu.engine), "loss")
        steps = len(same.values)
        trial.measure("steps, as on the CPU", len(course.values), str(steps), len(course.values) == steps)
        gap = max(abs(one - other) for one, other in zip(course.values, same.values, strict=True))
        trial.measure("largest distance of a step's loss from the CPU's", gap, "at most 0.001", gap <= 1e-3)


def adapter_size(made: Made) -> float:
    """The largest magnitude among the adapter's B matrices. Raises `Refuted` where there is no adapter."""
    from safetensors.numpy import load_file

    file = made.folder / "adapter" / "adapter_model.safetensors"
    found = sorted((made.folder / "adapter").glob("*.safetensors")) if not file.is_file() else [file]
    if not found:
        raise Refuted("the engine left no adapter")
    sizes = [float(np.abs(values).max()) for name, values in load_file(found[0]).items() if "lora_b" in name.lower()]
    if not sizes:
        raise Refuted("the adapter has no B matrix")
    return max(sizes)


def held_out_answers(trial: Trial) -> str:
    """Answers to tasks of smoke-instruct that are not in the subset which the student is taught on."""
    folder = trial.root / "recipes" / "data"
    rows = [json.loads(line) for line in (folder / "smoke-instruct.jsonl").read_text(encoding="utf-8").splitlines()]
    taught = {
        json.loads(line)["instruction"] for line in (folder / "smoke-subset.jsonl").read_text("utf-8").splitlines()
    }
    held = [row["response"] for row in rows if row["instruction"] not in taught]
    return "\n\n".join(held[:: max(1, len(held) // 12)][:12]) + "\n"
