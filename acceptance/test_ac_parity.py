"""The mission's question: does the engine compute what the reference does, and where does it part from it first?"""

from __future__ import annotations

import numpy as np
import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.scoring import paired, smoke_score
from apr_leaderboard.criteria.stages import CLASSES, PROMPT, gaps, own_gaps, pass_of_the_engine, pass_of_the_oracle
from apr_leaderboard.criteria.texts import greedy_of_the_oracle, token_ids
from apr_leaderboard.model.generation import Completion, DecodeParams, Prompt
from apr_leaderboard.proof import NotHere, Refuted

_TOLERANCE = 0.05
_OWN = 1e-3
_TEXTS = ("def add(a, b):\n    return", "def total(values):\n", "for item in items:\n", "import math\n\n\ndef area(r):")


@pytest.mark.criterion("AC-014")
@pytest.mark.falsified_by("pass-has-another-rope")
def test_logits_are_those_of_float64(trial: Trial) -> None:
    """The same tokens, every operation that the engine shows, and the first one that differs."""
    source = trial.source()
    got = trial.given(pass_of_the_engine(trial, trial.model(), source))
    wanted = token_ids(source, PROMPT)
    trial.measure("tokens of the prompt", str(list(got.tokens)), f"{wanted}", list(got.tokens) == wanted)
    want = pass_of_the_oracle(source, got.tokens)
    found = gaps(got, want)
    trial.tell("operations looked at", len(found))
    differing = next((gap for gap in own_gaps(source, got) if not gap.largest < _OWN), None)
    trial.tell("first operation that differs", "none" if differing is None else differing.operation)
    for gap in found:
        if gap.operation.endswith("post_ffn_residual"):
            trial.tell(f"{gap.operation}: largest and mean difference", f"{gap.largest:.3g}, {gap.mean:.3g}")
    for name, one in (("engine", got), ("float64", want)):
        trial.tell(f"five likeliest next tokens by {name}", str(np.argsort(-one.results["lm_head"][0])[:5].tolist()))
    last = found[-1]
    trial.tell("mean difference of logits", last.mean)
    trial.measure("largest difference of logits", last.largest, f"at most {_TOLERANCE}", last.largest <= _TOLERANCE)


@pytest.mark.criterion("AC-014")
@pytest.mark.falsified_by("greedy-says-something-else")
def test_texts_are_cut_into_as_many_tokens_as_by_the_tokenizers_library(trial: Trial) -> None:
    """The first operation of all. Raw texts, no template."""
    source = trial.source()
    for text, answer in zip(_TEXTS, continued(trial), strict=True):
        wanted = len(token_ids(source, text))
        if answer.n_prompt_tokens is None:
            raise NotHere(f"the engine {trial.asked.engine} does not say how many tokens a prompt has")
        trial.measure(f"tokens of {text!r}", answer.n_prompt_tokens, str(wanted), answer.n_prompt_tokens == wanted)


@pytest.mark.criterion("AC-014")
@pytest.mark.falsified_by("greedy-says-something-else")
def test_greedy_answers_are_those_of_float64(trial: Trial) -> None:
    """Raw texts continued greedily, without a template."""
    source = trial.source()
    answers = continued(trial)
    same = 0
    for text, answer in zip(_TEXTS, answers, strict=True):
        wanted, best = greedy_of_the_oracle(source, text, 8)
        if answer.text.strip() == wanted.strip():
            same += 1
        else:
            trial.tell(f"first that diverges: {text!r}", f"{answer.text!r}; float64: {wanted!r}, its top 5: {best}")
            break
    trial.measure("share of the texts continued as float64 does", same / len(_TEXTS), "1", same == len(_TEXTS))


@pytest.mark.criterion("AC-014")
@pytest.mark.falsified_by("model-knows-nothing")
def test_pass_at_1_is_the_references(trial: Trial) -> None:
    """The finetuned smoke model on the smoke tasks, asked by the engine and by the reference."""
    reference, engine = smoke_score(trial, "smoke-teacher", by_reference=True), smoke_score(trial, "smoke-teacher")
    found = paired(reference, engine)
    trial.tell("paired test", found.statement())
    loss = -found.difference
    trial.measure("pass@1 lost", loss, "below 0.05, or not beyond chance", loss < _TOLERANCE or not found.significant)
    trial.measure("solved by the reference", found.solved_a, "at least 1", found.solved_a > 0)


@pytest.mark.criterion("AC-015")
@pytest.mark.falsified_by("pass-has-another-rope")
def test_every_kernel_of_class_e_is_what_its_paper_says(trial: Trial) -> None:
    """Each operation against float64 on the engine's own inputs."""
    source = trial.source()
    found = own_gaps(source, trial.given(pass_of_the_engine(trial, trial.model(), source)))
    for kind in ("RMSNorm", "RoPE", "GQA", "SwiGLU"):
        own = [gap for gap in found if gap.operation.rpartition("/")[2] in CLASSES[kind]]
        if not own:
            raise Refuted(f"{kind}: the engine shows none")
        worst = max(own, key=lambda gap: gap.largest)
        name = f"{kind}: largest gap of {len(own)} ({worst.operation})"
        trial.measure(name, worst.largest, f"below {_OWN}", worst.largest < _OWN)


def continued(trial: Trial) -> list[Completion]:
    """The texts, each gone on with for eight tokens."""
    prompts = [Prompt(task_id=f"greedy/{index}", raw=text) for index, text in enumerate(_TEXTS)]
    return trial.ask(trial.model(), prompts, DecodeParams(max_tokens=8))
