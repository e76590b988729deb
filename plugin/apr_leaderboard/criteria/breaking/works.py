"""Saboteurs of what engines do and of what tests look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.criteria.breaking.tampering import change_weights
from apr_leaderboard.criteria.saboteur import Saboteur
from apr_leaderboard.criteria.stages import Pass
from apr_leaderboard.engine import FinetuneJob, GenerateJob, PrepDataJob
from apr_leaderboard.engine.reference.lookup import Lookup
from apr_leaderboard.model.generation import Completion, Prompt
from apr_leaderboard.model.record import StageRecord
from apr_leaderboard.model.results import ObligationResult
from apr_leaderboard.pipeline import EvaluationScore

__all__ = ["SABOTEURS"]


def _losses(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Any:
    def leave(job: object, out: Path, record: StageRecord) -> StageRecord:
        del job
        file = out / "losses.jsonl"
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in change(rows)), encoding="utf-8")
        return record

    return leave


def _backwards(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same course the other way round."""
    turned = rows[::-1]
    return [{**late, "step": row["step"], "epoch": row["epoch"]} for row, late in zip(rows, turned, strict=True)]


def _zero_adapter(job: object, out: Path, record: StageRecord) -> StageRecord:
    del job
    change_weights(out / "adapter" / "adapter_model.safetensors", lambda name, values: values * 0)
    return record


def _forgetful(name: str, values: Any) -> Any:
    return values * (0.5 if "layers" in name else 1)


def _forget(job: object, out: Path, record: StageRecord) -> StageRecord:
    del job
    assert record.checkpoint is not None
    change_weights(out / record.checkpoint, _forgetful)
    return record


def _not_quantized(job: FinetuneJob) -> FinetuneJob:
    return FinetuneJob(job.model, job.data, job.params.model_copy(update={"method": "lora"}))


def _same_text(prompt: Prompt, completion: Completion) -> Completion:
    return completion.model_copy(update={"text": f"as ever: {prompt.task_id}"})


def _with_the_seed(prompt: Prompt, completion: Completion) -> Completion:
    return completion.model_copy(update={"text": f"{completion.text} {prompt.seed}"})


def _drop_nothing(job: PrepDataJob) -> PrepDataJob:
    return PrepDataJob(job.data, job.against, job.params.model_copy(update={"steps": ("audit",)}))


def _plant(given: tuple[dict[str, Any], list[str]]) -> tuple[dict[str, Any], list[str]]:
    files, problems = given
    planted = [{"instruction": text, "response": ""} for text in problems]
    return {name: [*rows, *planted] for name, rows in files.items()}, problems


def _cut(given: tuple[dict[str, Any], list[str]]) -> tuple[dict[str, Any], list[str]]:
    files, problems = given
    cut = {
        name: [{**row, "response": row["response"][: len(row["response"]) // 3]} for row in rows]
        for name, rows in files.items()
    }
    return cut, problems


def _unchecked(completion: Completion) -> Completion:
    """The second half of the answer is what is drafted after the first, and nobody looks at it."""
    half = completion.text[: len(completion.text) // 2]
    draft = Lookup(map(ord, (completion.rendered or "") + half)).propose(len(completion.text) - len(half))
    return completion.model_copy(update={"text": half + "".join(map(chr, draft))})


def _no_idea(prompt: Prompt, completion: Completion) -> Completion:
    del prompt
    return completion.model_copy(update={"text": "```python\npass\n```"})


def _one_token(job: GenerateJob) -> GenerateJob:
    """What is thrown away need not be long."""
    return GenerateJob(job.model, job.prompts, job.params.model_copy(update={"max_tokens": 1}))


def _lose_half(scores: tuple[EvaluationScore, EvaluationScore]) -> tuple[EvaluationScore, EvaluationScore]:
    return _solving(scores[0], 1), _solving(scores[1], 2)


def _solving(score: EvaluationScore, every: int) -> EvaluationScore:
    problems = tuple(
        one.model_copy(update={"c": one.n if index % every == 0 else 0})
        for index, one in enumerate(score.result.problems)
    )
    return replace(score, result=score.result.model_copy(update={"problems": problems}))


def _garbled(prompt: Prompt, completion: Completion) -> Completion:
    del prompt
    n_tokens = None if completion.n_prompt_tokens is None else completion.n_prompt_tokens + 1
    return completion.model_copy(update={"text": completion.text[::-1] + "x", "n_prompt_tokens": n_tokens})


def _without_rope(given: Pass) -> Pass:
    """Queries and keys as they were before they were turned, and logits that are not those of the model."""
    turned = ("q_post_rope", "k_post_rope", "lm_head")
    return Pass(
        given.tokens,
        {name: values[::, ::-1] if name.endswith(turned) else values for name, values in given.results.items()},
    )


def _says(words: str) -> Any:
    def leave(job: object, out: Path, record: StageRecord) -> StageRecord:
        del job
        assert record.checkpoint is not None
        program = out / record.checkpoint
        program.chmod(0o755)
        program.write_text(f"#!/bin/sh\nprintf '%s' '{words}'\n", encoding="utf-8")
        return record

    return leave


def _toothless(results: list[ObligationResult]) -> list[ObligationResult]:
    return [one.model_copy(update={"saboteur": "green"}) if at % 4 == 0 else one for at, one in enumerate(results)]


def _sloppy(counts: dict[str, int]) -> dict[str, int]:
    return {name: count + 1 for name, count in counts.items()}


def _fewer(answers: dict[str, bool]) -> dict[str, bool]:
    return {name: known and at > 1 for at, (name, known) in enumerate(answers.items())}


def _less_one(commands: dict[str, str]) -> dict[str, str]:
    return {name: command if at else "" for at, (name, command) in enumerate(commands.items())}


SABOTEURS: Final = (
    Saboteur("program-is-mute", "the compiled program says nothing", frozenset({"compile"}), leave=_says("")),
    Saboteur(
        "program-says-one-thing",
        "the compiled program says the same to every prompt",
        frozenset({"compile"}),
        leave=_says("def f"),
    ),
    Saboteur(
        "program-writes-prose",
        "the compiled program talks about Python",
        frozenset({"compile"}),
        leave=_says("First, add both numbers."),
        stands_in=True,
    ),
    Saboteur(
        "wgpu-is-the-cpu",
        "the CPU does what wgpu was to do",
        given=lambda used: used._replace(backend="cpu", idle=("bench", "finetune")),
        stands_in=True,
    ),
    Saboteur(
        "wgpu-unlearns",
        "training runs backwards",
        frozenset({"finetune"}),
        leave=_losses(_backwards),
        stands_in=True,
    ),
    Saboteur(
        "resumed-run-differs",
        "what is resumed leaves other bytes",
        given=lambda digests: {name: digest[::-1] for name, digest in digests.items()},
    ),
    Saboteur("a-stage-is-left-out", "a stage of the recipe is not done", given=lambda done: done[:-1]),
    Saboteur("checks-without-saboteurs", "every fourth check has a saboteur that stays green", given=_toothless),
    Saboteur("code-with-findings", "every part of the gate finds one thing more", given=_sloppy),
    Saboteur("subcommands-are-gone", "the engine does not know two of its subcommands", given=_fewer),
    Saboteur("a-defect-without-a-command", "one known defect has no command", given=_less_one),
    Saboteur("pass-has-another-rope", "RoPE turns the wrong way, and logits come out of it", given=_without_rope),
    Saboteur(
        "greedy-says-something-else",
        "a prompt has one token more, and greedy decoding takes another",
        frozenset({"generate"}),
        answer=_garbled,
    ),
    Saboteur(
        "model-knows-nothing",
        "every answer is `pass`, whichever model is asked",
        frozenset({"generate"}),
        _one_token,
        answer=_no_idea,
        stands_in=True,
    ),
    Saboteur(
        "int4-knows-nothing",
        "half precision solves all, four bits solve every second task",
        frozenset({"generate"}),
        _one_token,
        answer=_no_idea,
        given=_lose_half,
        stands_in=True,
    ),
    Saboteur("merged-model-knows-nothing", "the merged model answers `pass`", frozenset({"generate"}), answer=_no_idea),
    Saboteur("every-sample-is-the-first", "seeds are ignored", frozenset({"generate"}), answer=_same_text),
    Saboteur("greedy-is-not", "greedy answers hang on the seed", frozenset({"generate"}), answer=_with_the_seed),
    Saboteur("a-draft-that-slows", "a draft makes decoding slower", given=lambda speeds: speeds._replace(speedup=0.9)),
    Saboteur(
        "draft-changes-tokens",
        "drafted letters are taken unchecked",
        given=lambda answers: [_unchecked(one) for one in answers],
    ),
    Saboteur(
        "code-comes-first",
        "every answer is turned round",
        given=lambda texts: ["\n".join([*text.splitlines()[::-1], "1. a plan"]) for text in texts],
    ),
    Saboteur("benchmarks-in-the-training-data", "HumanEval stands in the training data", given=_plant),
    Saboteur(
        "decontamination-keeps-everything", "decontamination drops nothing", frozenset({"prep-data"}), _drop_nothing
    ),
    Saboteur("answers-are-cut", "every answer is cut to its first third", given=_cut),
    Saboteur("distil-forgets", "distillation halves every layer", frozenset({"distill"}), leave=_forget),
    Saboteur("lora-unlearns", "training runs backwards", frozenset({"finetune"}), leave=_losses(_backwards)),
    Saboteur("lora-leaves-the-base", "the adapter is zero", frozenset({"finetune"}), leave=_zero_adapter),
    Saboteur("qlora-is-lora", "QLoRA keeps its frozen weights in float32", frozenset({"finetune"}), _not_quantized),
    Saboteur("dpo-prefers-the-rejected", "DPO goes backwards", frozenset({"align"}), leave=_losses(_backwards)),
)
