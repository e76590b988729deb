"""What prompts become on the way in, and answers on the way out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_leaderboard.engine.apr.requests import (
    Answer,
    PrefillState,
    Route,
    batch_line,
    completion_of,
    request_for,
    unhonoured,
)
from apr_leaderboard.model.generation import DecodeParams, FinishReason, Message, Prompt

_USER = Message(role="user", content="u")
_SYSTEM = Message(role="system", content="s")


def _prompt(**parts: object) -> Prompt:
    return Prompt(task_id="t", **{"messages": (_USER,), **parts})  # type: ignore[arg-type]


def test_request_of_messages_goes_to_the_chat_route_with_seed_and_system() -> None:
    """The template is the program's to apply; seed and system turn go along."""
    request = request_for(
        _prompt(messages=(_SYSTEM, _USER), seed=7), DecodeParams(max_tokens=5, temperature=0.8, top_k=40, top_p=0.9)
    )
    assert request.path == "/v1/chat/completions"
    assert request.body == {
        "model": "apr",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
        "max_tokens": 5, "temperature": 0.8, "seed": 7, "top_k": 40, "top_p": 0.9,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "sampling"),
    [
        (DecodeParams(), {"strategy": "greedy"}),
        (DecodeParams(temperature=0.5, top_k=40), {"strategy": "top_k", "top_k": 40}),
        (DecodeParams(temperature=0.5, top_p=0.9), {"strategy": "top_p", "top_p": 0.9}),
        (DecodeParams(temperature=0.5), {"strategy": "top_k", "top_k": 0}),
    ],
    ids=["greedy", "top-k", "top-p", "plain"],
)
def test_request_of_raw_text_is_continued_as_it_stands(params: DecodeParams, sampling: dict[str, object]) -> None:
    """Raw text and its prefill go in unchanged, by the one route that honours a seed for them."""
    request = request_for(Prompt(task_id="t", raw="def f(", prefill="x", seed=3), params)
    assert request.path == "/generate"
    assert request.body["prompt"] == "def f(x"
    assert request.body["seed"] == 3
    assert {key: request.body[key] for key in sampling} == sampling


@pytest.mark.parametrize(
    "prompt",
    [_prompt(messages=(_SYSTEM, _USER)), Prompt(task_id="t", raw="x"), _prompt(messages=(_USER, _USER))],
    ids=["system", "raw", "two-turns"],
)
def test_batch_line_of_what_batch_mode_cannot_say_is_refused(prompt: Prompt) -> None:
    """Nothing of a prompt is dropped in silence."""
    with pytest.raises(ValueError, match="exactly one user turn"):
        batch_line(0, prompt)


def test_batch_line_tells_samples_of_one_task_apart() -> None:
    """Answers come back by index, since a task may be asked several times."""
    assert batch_line(5, _prompt(sample=2)) == {"task_id": "5", "prompt": "u"}


@pytest.mark.parametrize(
    ("prompt", "text", "expected", "state"),
    [
        (_prompt(stop=("END",)), "abENDcd", "ab", PrefillState.NONE),
        (_prompt(stop=("x", "b")), "abxd", "a", PrefillState.NONE),
        (_prompt(), "  ab\n", "  ab\n", PrefillState.NONE),
        (_prompt(prefill="```py\n", stop=("```",)), "Sure:\n```py\nx = 1\n```\nDone", "x = 1\n", PrefillState.FOUND),
        (_prompt(prefill="```py\n", stop=("```",)), "x = 1 ``` y", "x = 1 ``` y", PrefillState.MISSING),
        (Prompt(task_id="t", raw="r", prefill="p", stop=("s",)), "as", "a", PrefillState.NONE),
    ],
    ids=["stop", "earliest-stop", "as-it-is", "prefill-found", "prefill-missing", "raw-prefill"],
)
def test_completion_of_answer_cuts_at_stop_and_prefill(
    prompt: Prompt, text: str, expected: str, state: PrefillState
) -> None:
    """The text kept is what follows the prefill and precedes the first stop string."""
    completion, got, _ = completion_of(prompt, Answer(text, FinishReason.LENGTH, 5, 2))
    assert (completion.text, got) == (expected, state)
    assert (completion.n_tokens, completion.n_prompt_tokens) == (5, 2)


@given(st.text(), st.lists(st.text(min_size=1), max_size=3))
def test_completion_of_answer_never_holds_a_stop_string(text: str, stops: list[str]) -> None:
    """What is kept is a prefix of the answer without any stop string, and kept plus cut is all of it."""
    completion, _, cut = completion_of(_prompt(stop=tuple(stops)), Answer(text, FinishReason.LENGTH))
    assert text.startswith(completion.text)
    assert len(completion.text) + cut == len(text)
    assert not any(stop in completion.text for stop in stops)
    assert (completion.finish is FinishReason.STOP) == (cut > 0)


@pytest.mark.parametrize(
    ("prompts", "params", "route", "codes"),
    [
        ([_prompt()], DecodeParams(), Route.SERVE, []),
        ([_prompt(prefill="x")], DecodeParams(), Route.SERVE, ["prefill-not-honoured"]),
        ([Prompt(task_id="t", raw="r", prefill="x")], DecodeParams(), Route.SERVE, []),
        ([Prompt(task_id="t", raw="r")], DecodeParams(temperature=1.0, top_k=4, top_p=0.9), Route.SERVE,
         ["top-p-not-honoured"]),
        ([_prompt()], DecodeParams(temperature=1.0, top_k=4, top_p=0.9), Route.SERVE, []),
        ([_prompt()], DecodeParams(temperature=1.0), Route.BATCH, ["seed-not-honoured", "template-not-honoured"]),
        ([_prompt()], DecodeParams(), Route.BATCH, ["template-not-honoured"]),
        ([_prompt()], DecodeParams(draft_tokens=16), Route.SERVE, ["draft-not-honoured"]),
    ],
    ids=["plain", "prefill", "raw-prefill", "raw-top-p", "chat-top-p", "batch-sampled", "batch-greedy", "drafted"],
)  # fmt: skip
def test_unhonoured_names_what_a_route_drops(
    prompts: list[Prompt], params: DecodeParams, route: Route, codes: list[str]
) -> None:
    """Every part of a request that does not reach the model is a finding, and no other."""
    assert [finding.code for finding in unhonoured(prompts, params, route, "c")] == codes
