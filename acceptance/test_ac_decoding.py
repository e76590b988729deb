"""How answers are drawn."""

from __future__ import annotations

import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.drafting import answers_with_and_without_a_draft, speed_with_and_without_a_draft
from apr_leaderboard.criteria.plans import reasons_first, structured_answers
from apr_leaderboard.model.generation import DecodeParams, Message, Prompt

_TASKS = (
    "Complete the following Python function.\n\n```python\ndef total(first, second):\n```",
    "Write a function that doubles a number.",
    "def join_words(words):",
    "Return the longest of three texts.",
)
_SAMPLES = 10


@pytest.mark.criterion("AC-017")
@pytest.mark.falsified_by("every-sample-is-the-first")
def test_ten_samples_of_a_prompt_are_distinct(trial: Trial) -> None:
    """At temperature 0.8, each with a seed of its own."""
    answers = trial.ask(trial.model(), drawn(_SAMPLES), DecodeParams(max_tokens=24, temperature=0.8))
    shares = [len({one.text for one in answers if one.task_id == f"draw/{i}"}) / _SAMPLES for i in range(len(_TASKS))]
    trial.tell("distinct of ten, by prompt", ", ".join(f"{share * _SAMPLES:.0f}" for share in shares))
    mean = sum(shares) / len(shares)
    trial.measure("prompts answered in one way only", shares.count(1 / _SAMPLES), "0", min(shares) > 1 / _SAMPLES)
    trial.measure("mean share of distinct samples", mean, "at least 0.5", mean >= 0.5)


@pytest.mark.criterion("AC-017")
@pytest.mark.falsified_by("greedy-is-not")
def test_greedy_samples_of_a_prompt_are_all_the_same(trial: Trial) -> None:
    """At temperature 0, whatever the seeds."""
    answers = trial.ask(trial.model(), drawn(3), DecodeParams(max_tokens=24))
    most = max(len({one.text for one in answers if one.task_id == f"draw/{i}"}) for i in range(len(_TASKS)))
    trial.measure("most different greedy answers to a prompt", most, "1", most == 1)
    answered = len({one.task_id for one in answers if one.text})
    trial.measure("prompts answered with a text", answered, "at least 1", answered > 0)


@pytest.mark.criterion("AC-018")
@pytest.mark.falsified_by("a-draft-that-slows")
def test_a_draft_makes_decoding_half_as_fast_again(trial: Trial) -> None:
    """Tokens a second, one prompt at a time: the median of rounds in which both ways were timed in turn."""
    speedup, differing = speed_with_and_without_a_draft(trial)
    trial.measure("tokens a second, drafted / plain", speedup, "at least 1.5", speedup >= 1.5)
    trial.measure("answers that differ while timed", differing, "0", differing == 0)


@pytest.mark.criterion("AC-018")
@pytest.mark.falsified_by("draft-changes-tokens")
def test_drafts_change_no_token(trial: Trial) -> None:
    """Greedy answers with and without a draft: their text, their number of tokens, and how they end."""
    plain, drafted = answers_with_and_without_a_draft(trial)
    trial.tell("answers", len(plain))
    trial.tell("tokens", sum(one.n_tokens or 0 for one in plain))
    differing = sum(one != other for one, other in zip(plain, drafted, strict=True))
    trial.measure("answers that differ", differing, "0", differing == 0)


@pytest.mark.criterion("AC-019")
@pytest.mark.falsified_by("code-comes-first")
def test_structured_prompting_reasons_before_it_codes(trial: Trial) -> None:
    """Of the answers that hold both reasoning and code."""
    found = [reasons_first(text) for text in trial.given(structured_answers(trial))]
    both = [one for one in found if one is not None]
    trial.tell("answers", len(found))
    trial.measure("answers with reasoning and code", len(both), "at least 1", bool(both))
    rate = sum(both) / len(both)
    trial.measure("reasoning first", rate, "at least 0.5", rate >= 0.5)


def drawn(samples: int) -> list[Prompt]:
    """Each task, asked several times."""
    return [
        Prompt(
            task_id=f"draw/{task}",
            sample=sample,
            seed=1000 * task + sample,
            messages=(Message(role="user", content=text),),
        )
        for task, text in enumerate(_TASKS)
        for sample in range(samples)
    ]
