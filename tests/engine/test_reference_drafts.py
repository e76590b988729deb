"""Speculative decoding: what is drafted, which columns it takes, and that it changes no token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import jax.numpy as jnp
import numpy as np
import pytest
import refmodels
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apr_leaderboard.engine.reference.cache import WIDTH, decode_layer, empty_cache
from apr_leaderboard.engine.reference.columns import checked, lay_out, share_columns
from apr_leaderboard.engine.reference.decode import Decoder, DecodeTimes
from apr_leaderboard.engine.reference.jobs_generate import draft_figures, make_requests
from apr_leaderboard.engine.reference.loader import LoadedModel, load_model
from apr_leaderboard.engine.reference.lookup import LONGEST, Lookup
from apr_leaderboard.engine.reference.racing import race
from apr_leaderboard.model.generation import Completion, DecodeParams, FinishReason, Prompt

_CONTEXT = 320
_TOKENS = st.lists(st.integers(0, 3), max_size=30)


@dataclass
class Reading:
    """What a slot of the decoder is to its columns."""

    token: int
    position: int


@cache
def model(seed: int = 7, ends: tuple[int, ...] = ()) -> LoadedModel:
    """A random Qwen2, which soon goes round in circles; it ends at `ends` alone."""
    folder = refmodels.write_model(Path(mkdtemp()) / f"qwen2-{seed}", "qwen2-tied", seed)
    loaded = load_model(refmodels.write_tokenizer(folder))
    return replace(loaded, config=replace(loaded.config, eos_ids=ends))


def ask(
    asked: LoadedModel, prompts: Sequence[Prompt], params: DecodeParams
) -> tuple[dict[tuple[str, int], Completion], DecodeTimes]:
    """Answers by key, and what they took."""
    decoder = Decoder(asked, params)
    answers = {answer.key: answer for answer in decoder.run(make_requests(asked, list(prompts)))}
    return answers, decoder.times


def drafting(params: DecodeParams, count: int) -> DecodeParams:
    """The same request with drafts."""
    return DecodeParams(**{**params.model_dump(), "draft_tokens": count})


def prompt(text: str, number: int = 0, **fields: object) -> Prompt:
    """Raw text."""
    return Prompt.model_validate({"task_id": f"t{number}", "raw": text, "seed": number, **fields})


# -- what is drafted --------------------------------------------------------------------------------------------------


@given(_TOKENS, st.integers(1, 8))
def test_lookup_proposes_what_followed_the_longest_earliest_run(ids: list[int], most: int) -> None:
    """Held against a search through the whole text."""
    expected: list[int] = []
    for size in range(min(LONGEST, len(ids)), 0, -1):
        ends = [end for end in range(size, len(ids)) if ids[end - size : end] == ids[-size:]]
        if ends:
            expected = ids[ends[0] : ends[0] + most]
            break
    assert Lookup(ids).propose(most) == expected


@given(_TOKENS, _TOKENS)
def test_lookup_grown_token_by_token_equals_one_made_at_once(first: list[int], then: list[int]) -> None:
    """An answer's tokens count like the prompt's."""
    grown = Lookup(first)
    for token in then:
        grown.add(token)
    assert grown.propose(5) == Lookup([*first, *then]).propose(5)


# -- which columns it takes -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 31), max_size=WIDTH), st.integers(0, WIDTH))
def test_columns_are_shared_to_the_last_and_in_turn(wanted: list[int], free: int) -> None:
    """None is left while one is wanted, none gets more than it wants, and nobody is two behind without reason."""
    given_to = share_columns(wanted, free)
    assert sum(given_to) == min(free, sum(wanted))
    assert all(got <= most for got, most in zip(given_to, wanted, strict=True))
    short = [got for got, most in zip(given_to, wanted, strict=True) if got < most]
    assert not short or max(given_to) - min(short) <= 1


@given(st.data())
def test_columns_hold_every_draft_and_name_no_place_twice(data: st.DataObject) -> None:
    """Each column is a slot's at a position of its own; what is left over lies in empty slots."""
    filled = data.draw(st.lists(st.booleans(), min_size=WIDTH, max_size=WIDTH))
    lengths = share_columns([data.draw(st.integers(0, 9)) if one else 0 for one in filled], filled.count(False))
    drafts = [[100 + i] * length for i, length in enumerate(lengths)]
    slots = [Reading(i, 10 * i) if one else None for i, one in enumerate(filled)]
    columns = lay_out(slots, drafts)
    places = list(zip(columns.owners.tolist(), columns.positions.tolist(), strict=True))
    assert len(set(places)) == WIDTH
    assert columns.drafted == any(drafts)
    for i, (slot, draft) in enumerate(zip(slots, drafts, strict=True)):
        if slot is not None:
            own = slice(columns.starts[i], columns.starts[i] + 1 + len(draft))
            assert columns.tokens[own].tolist() == [slot.token, *draft]
            assert places[own] == [(i, slot.position + j) for j in range(1 + len(draft))]
    used = {owner for owner, _ in places if slots[owner] is None}
    assert len(used) == WIDTH - sum(filled) - sum(lengths)


@given(st.lists(st.integers(0, 1), max_size=8), st.lists(st.integers(0, 1), min_size=9, max_size=9))
def test_checked_keeps_what_agrees_and_one_token_of_the_models_own(draft: list[int], own: list[int]) -> None:
    """The longest common beginning, and what the model says after it."""
    agreed = next((i for i, (one, other) in enumerate(zip(draft, own, strict=False)) if one != other), len(draft))
    assert checked(draft, lambda ahead: own[ahead]) == own[: agreed + 1]


def test_drafted_columns_are_bit_for_bit_those_of_one_token_a_step() -> None:
    """Five tokens of one slot in one pass leave what five passes leave, in the cache too."""
    asked = model()
    config, layer = asked.config, asked.params["layers"][0]
    generator = np.random.Generator(np.random.Philox(5))
    x = generator.standard_normal((config.hidden_size, WIDTH)).astype(np.float32)
    slow, apart = empty_cache(config, WIDTH, 256)[0], []
    for step in range(5):
        positions = np.zeros(WIDTH, np.int32)
        positions[3] = 126 + step
        columns = generator.standard_normal(x.shape).astype(np.float32)
        columns[:, 3] = x[:, step]
        y, *pair = decode_layer(config, layer, jnp.asarray(columns), *slow, (positions, None))
        slow = (pair[0], pair[1])
        apart.append(np.asarray(y)[:, 3])
    drafts = [[0] * 4 if i == 3 else [] for i in range(WIDTH)]
    laid = lay_out([Reading(0, 126) if i == 3 else None for i in range(WIDTH)], drafts)
    fast = empty_cache(config, WIDTH, 256)[0]
    y, *pair = decode_layer(config, layer, jnp.asarray(x), *fast, (laid.positions, laid.owners))
    np.testing.assert_array_equal(np.asarray(y)[:, :5], np.stack(apart, axis=1))
    for one, other in zip(pair, slow, strict=True):
        np.testing.assert_array_equal(np.asarray(one)[:, 3], np.asarray(other)[:, 3])


# -- that it changes nothing ------------------------------------------------------------------------------------------

_TEXTS = st.lists(
    st.lists(st.sampled_from(["ab", "def f(x):\n", "    return ", "x", "0", " "]), min_size=1, max_size=8).map("".join),
    min_size=1,
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(
    texts=_TEXTS,
    seed=st.integers(1, 2),
    count=st.integers(1, 31),
    most=st.integers(1, 40),
    temperature=st.sampled_from([0.0, 0.0, 0.3, 1.0]),
    stop=st.sampled_from(["", "a", "\n", "xx"]),
    ends=st.sampled_from([(), (10, 97)]),
)
@example(["ab" * 4], 1, 31, 40, 0.0, "", ())
def test_drafts_change_no_answer(
    texts: list[str], seed: int, count: int, most: int, temperature: float, stop: str, ends: tuple[int, ...]
) -> None:
    """Text, number of tokens and reason of the end, of any batch, at any temperature, wherever an answer ends."""
    prompts = [prompt(text, i, stop=(stop,) if stop else ()) for i, text in enumerate(texts)]
    plain = DecodeParams(max_tokens=most, temperature=temperature)
    assert ask(model(seed, ends), prompts, drafting(plain, count))[0] == ask(model(seed, ends), prompts, plain)[0]


@pytest.mark.parametrize("n_prompts", [1, 20, WIDTH, WIDTH + 9])
def test_drafts_beside_more_or_fewer_neighbours_change_no_answer(n_prompts: int) -> None:
    """Drafts take what columns are free: all but one, some, none, and more and more towards the end."""
    prompts = [prompt("ab" * (1 + i % 7) + "x" * (i % 3), i) for i in range(n_prompts)]
    plain = DecodeParams(max_tokens=24)
    drafted, times = ask(model(), prompts, drafting(plain, 8))
    expected, before = ask(model(), prompts, plain)
    assert drafted == expected
    assert times.n_decoded == before.n_decoded
    assert times.n_steps <= before.n_steps


@pytest.mark.parametrize("n_prompt", [300, _CONTEXT - 3, _CONTEXT - 2, _CONTEXT - 1, _CONTEXT])
def test_drafts_at_the_end_of_the_context_change_no_answer(n_prompt: int) -> None:
    """No draft reaches beyond the last position, over a block's border and with a cache that grows."""
    prompts = [prompt("ab" * 10 + "x" * (n_prompt - 10)), prompt("ab", 1)]
    plain = DecodeParams(max_tokens=64)
    drafted, expected = ask(model(), prompts, drafting(plain, 31))[0], ask(model(), prompts, plain)[0]
    assert drafted == expected
    assert drafted["t0", 0].finish is FinishReason.CONTEXT


def test_drafts_that_agree_save_passes_and_are_counted() -> None:
    """A model that goes round in circles is soon foreseen; each pass brings one token more than was accepted."""
    _, times = ask(model(), [prompt("ab" * 8)], DecodeParams(max_tokens=200, draft_tokens=8))
    figures = draft_figures(times)
    assert times.n_decoded == times.n_steps + times.n_accepted == 200
    assert 0 < figures["n_accepted"] <= figures["n_drafted"]
    assert figures["tokens_per_pass"] == round(200 / times.n_steps, 4) > 1.5


def test_drafts_are_the_same_each_time() -> None:
    """The counts of a job are figures of its record, so they must not hang on time."""
    prompts = [prompt("ab" * 8, i) for i in range(5)]
    params = DecodeParams(max_tokens=30, draft_tokens=8)
    assert draft_figures(ask(model(), prompts, params)[1]) == draft_figures(ask(model(), prompts, params)[1])


def test_plain_decoding_drafts_nothing() -> None:
    """Without the request there is no lookup, and no figure of it."""
    times = ask(model(), [prompt("ab" * 8)], DecodeParams(max_tokens=30))[1]
    assert (times.n_drafted, times.n_accepted, times.n_decoded) == (0, 0, times.n_steps)


# -- how it is asked for and measured ---------------------------------------------------------------------------------


def test_request_without_drafts_is_written_as_before_there_were_any() -> None:
    """Its digest in the store, and what reports say of it, stay what they were."""
    params = DecodeParams(max_tokens=5)
    assert params.model_dump_json() == '{"max_tokens":5,"temperature":0.0,"top_k":0,"top_p":1.0}'
    assert DecodeParams.model_validate_json(params.model_dump_json()) == params


def test_request_with_drafts_is_written_with_them() -> None:
    """It is another request, and comes back as it was."""
    params = DecodeParams(max_tokens=5, draft_tokens=16)
    assert params.model_dump()["draft_tokens"] == 16
    assert DecodeParams.model_validate_json(params.model_dump_json()) == params


def test_race_tells_both_speeds_and_that_no_answer_differs() -> None:
    """As many laps of each, in turn."""
    requests = make_requests(model(), [prompt("ab" * 8), prompt("x = 0\n" * 3, 1)])
    told: list[int] = []
    ways = (DecodeParams(max_tokens=12), DecodeParams(max_tokens=12, draft_tokens=4))
    figures = race(model(), requests, ways, 3, told.append).figures()
    assert told == [1, 2, 3]
    assert (figures["n_rounds"], figures["n_answers"], figures["n_tokens"], figures["n_differing"]) == (3, 2, 24, 0)
    assert 0 < figures["speedup_least"] <= figures["speedup"] <= figures["speedup_most"]
    assert min(figures["tokens_per_second"], figures["plain_tokens_per_second"]) > 0


def test_race_of_ways_that_answer_otherwise_counts_the_answers_that_differ() -> None:
    """So a draft that changed tokens would not go unseen."""
    requests = make_requests(model(), [prompt("ab" * 8), prompt("x = 0\n" * 3, 1)])
    ways = (DecodeParams(max_tokens=12), DecodeParams(max_tokens=11))
    assert race(model(), requests, ways, 2, lambda n: None).figures()["n_differing"] == 2
