"""Turns prompts into what `apr` is asked, and its answers into completions. Pure.

How each part of a prompt is honoured by 0.72.3 was measured, not read (docs/apr-findings.md):

- `/v1/chat/completions` applies the model's own template, system turns included, and honours temperature, top-k,
  top-p and the seed; a trailing assistant turn is closed by the template, so an answer cannot be prefilled;
- `/generate` continues raw text and honours temperature, one of top-k and top-p, and the seed (`/v1/completions`
  drops the seed and top-k);
- stop strings never end generation early anywhere, so they are cut here;
- `apr run --batch-jsonl` takes one user turn, renders it without the model's own template, and drops the seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apr_leaderboard.model.generation import Completion, DecodeParams, FinishReason, Prompt
from apr_leaderboard.model.record import Finding

__all__ = ["Answer", "PrefillState", "Request", "Route", "batch_line", "completion_of", "request_for", "unhonoured"]


class Route(StrEnum):
    """Which way prompts go in."""

    SERVE = "serve"
    BATCH = "batch"


class PrefillState(StrEnum):
    """What became of a prefill the engine could not be given."""

    NONE = "none"
    FOUND = "found"
    MISSING = "missing"


@dataclass(frozen=True)
class Request:
    """One HTTP request to `apr serve`."""

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What came back for one prompt, before stop strings are cut."""

    text: str
    finish: FinishReason
    n_tokens: int | None = None
    n_prompt_tokens: int | None = None


def request_for(prompt: Prompt, params: DecodeParams) -> Request:
    """The request that honours most of `prompt`."""
    common = {"max_tokens": params.max_tokens, "temperature": params.temperature, "seed": prompt.seed}
    if prompt.raw is not None:
        sampling: dict[str, Any] = {"strategy": "greedy"}
        if params.temperature > 0 and params.top_k == 0 and params.top_p < 1:
            sampling = {"strategy": "top_p", "top_p": params.top_p}
        elif params.temperature > 0:
            sampling = {"strategy": "top_k", "top_k": params.top_k}
        return Request("/generate", {"prompt": prompt.raw + prompt.prefill, **common, **sampling})
    body: dict[str, Any] = {
        "model": "apr",
        "messages": [{"role": message.role, "content": message.content} for message in prompt.messages],
        **common,
    }
    if params.temperature > 0:
        body |= {"top_k": params.top_k, "top_p": params.top_p}
    return Request("/v1/chat/completions", body)


def batch_line(index: int, prompt: Prompt) -> dict[str, Any]:
    """One line of `--batch-jsonl`; answers are told apart by the index, as one task may be asked several times.

    Raises `ValueError` for what that mode has no words for: raw text, system turns, more than one turn.
    """
    if prompt.raw is not None or [message.role for message in prompt.messages] != ["user"]:
        raise ValueError(f"{prompt.task_id}: batch mode takes exactly one user turn")
    return {"task_id": str(index), "prompt": prompt.messages[0].content}


def completion_of(prompt: Prompt, answer: Answer) -> tuple[Completion, PrefillState, int]:
    """The completion, what became of its prefill, and how many characters were cut from the answer.

    A prefill of messages could not be given to the engine. Where the answer contains it anyway (a model that opens a
    code fence by itself), the text after its first occurrence is what would have followed the prefill. Where it does
    not, the answer is kept whole, stop strings too, since they count from a prefill that never was.
    """
    text, finish, state = answer.text, answer.finish, PrefillState.NONE
    if prompt.prefill and prompt.raw is None:
        _, found, rest = text.partition(prompt.prefill)
        state = PrefillState.FOUND if found else PrefillState.MISSING
        text = rest if found else text
    cut = 0
    if state is not PrefillState.MISSING:
        ends = [at for stop in prompt.stop if stop and (at := text.find(stop)) >= 0]
        if ends:
            cut = len(text) - min(ends)
            text, finish = text[: min(ends)], FinishReason.STOP
    completion = Completion(
        task_id=prompt.task_id,
        sample=prompt.sample,
        text=text,
        rendered=None if prompt.raw is None else prompt.raw + prompt.prefill,
        n_prompt_tokens=answer.n_prompt_tokens,
        n_tokens=answer.n_tokens,
        finish=finish,
    )
    return completion, state, cut


def unhonoured(prompts: Sequence[Prompt], params: DecodeParams, route: Route, command: str) -> list[Finding]:
    """What the prompts ask and `route` cannot pass on, with its effect."""
    findings = []
    templated = [prompt for prompt in prompts if prompt.raw is None]
    prefilled = sum(bool(prompt.prefill) for prompt in templated)
    if prefilled:
        findings.append((
            "prefill-not-honoured",
            f"{prefilled} of {len(prompts)} prompts begin the answer for the model, which the program offers no way to"
            " do under its chat template; the model answered from the start, and the text after the first occurrence"
            " of the prefill was taken where there is one",
        ))  # fmt: skip
    sampled = params.temperature > 0
    if sampled and route is Route.BATCH:
        findings.append((
            "seed-not-honoured",
            "batch mode drops the seed: every sample of a prompt is drawn with the same one and comes out the same",
        ))  # fmt: skip
    raw = any(prompt.raw is not None for prompt in prompts)
    top_p_dropped = params.top_p < 1 and (route is Route.BATCH or (raw and params.top_k > 0))
    if sampled and top_p_dropped:
        findings.append(("top-p-not-honoured", f"top_p {params.top_p:g} is dropped on the way the prompts go in"))
    if route is Route.BATCH:
        findings.append((
            "template-not-honoured",
            "batch mode wraps every prompt in ChatML without a system turn, whatever the model's own template says",
        ))  # fmt: skip
    if params.draft_tokens:
        findings.append((
            "draft-not-honoured",
            f"draft_tokens {params.draft_tokens} is dropped: the program offers no draft, and decodes token by token",
        ))  # fmt: skip
    return [Finding(code=code, message=message, command=command) for code, message in findings]
