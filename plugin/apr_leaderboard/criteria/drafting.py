"""Speculative decoding: how much faster is an engine with a draft, does it say the same, what does one without say."""

from __future__ import annotations

from typing import Final, NamedTuple

from apr_leaderboard.criteria.hardware import backend_used, program_of
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import BenchJob, Command, run_command
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.model.generation import Completion, DecodeParams, Prompt
from apr_leaderboard.pipeline import Decoding
from apr_leaderboard.pipeline.generation import prompts_digest
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made

__all__ = ["Speeds", "answers_with_and_without_a_draft", "speed_with_and_without_a_draft"]

_DRAFT_TOKENS: Final = 16
_MOST_TOKENS: Final = 64
_PROMPTS: Final = {"smoke": 16, "real": 4}
_ROUNDS: Final = {"smoke": 9, "real": 3}
"""A real model decodes a few tokens a second without a GPU."""
_FLAGS: Final = ("--draft-model", "--speculative")
_SECONDS: Final = 60.0
_USAGE: Final = 2
_TOLD: Final = {
    "plain_tokens_per_second": "tokens a second, plain",
    "tokens_per_second": "tokens a second, drafted",
    "speedup_least": "drafted / plain, least of all rounds",
    "speedup_most": "drafted / plain, most of all rounds",
    "whole_speedup": "drafted / plain, reading of the prompts included",
    "n_rounds": "rounds",
    "n_drafted": "tokens drafted",
    "n_accepted": "tokens accepted of these",
    "tokens_per_pass": "tokens a pass",
}


class Speeds(NamedTuple):
    """What was measured in one process, plainly and with drafts in turn: the median ratio, and answers that differ."""

    speedup: float
    n_differing: int


def speed_with_and_without_a_draft(trial: Trial) -> Speeds:
    """The engine's own measurement over prompts of a benchmark, answered one after another.

    Both speeds, their spread and what was drafted are told, with the backend. Raises as `_need_a_draft`; in a
    saboteur's hands an engine without drafts is one that just reaches the bound.
    """
    if trial.saboteur is not None and not _takes_a_draft(trial):
        return trial.given(Speeds(1.5, 0))
    trial.tell("backend that was used", backend_used(trial)[0])
    _need_a_draft(trial)
    model, prompts = _asked(trial)
    params = {"n_tokens": _MOST_TOKENS, "draft_tokens": _DRAFT_TOKENS, "rounds": _ROUNDS[trial.profile]}
    made = trial.make(
        lambda found: BenchJob(found[0], prompts=prompts, **params),
        {**params, "prompts": prompts_digest(prompts)},
        [model],
    )
    figures = {} if made.record is None else made.record.figures
    if missing := [name for name in ("speedup", "n_differing", *_TOLD) if name not in figures]:
        raise NotHere(f"needs an engine that measures drafts: bench of {trial.sound_engine.name} tells no {missing[0]}")
    for name, words in _TOLD.items():
        trial.tell(words, figures[name])
    return trial.given(Speeds(float(figures["speedup"]), int(figures["n_differing"])))


def answers_with_and_without_a_draft(trial: Trial) -> tuple[list[Completion], list[Completion]]:
    """Greedy answers to the same prompts, plainly and with drafts, each from a process of its own.

    Raises as `_need_a_draft`; in a saboteur's hands an engine without drafts answers plainly both times.
    """
    if trial.saboteur is None:
        _need_a_draft(trial)
    model, prompts = _asked(trial)
    count = _DRAFT_TOKENS if _takes_a_draft(trial) else 0
    plain = trial.ask(model, prompts, DecodeParams(max_tokens=_MOST_TOKENS))
    return plain, trial.given(trial.ask(model, prompts, DecodeParams(max_tokens=_MOST_TOKENS, draft_tokens=count)))


def _asked(trial: Trial) -> tuple[Made, tuple[Prompt, ...]]:
    """Whom and what: tasks that the model answers, as a benchmark asks them.

    In the profile smoke the finetuned model, since the pretrained one ends its turn at once.
    """
    if trial.profile == "smoke":
        model, benchmark = trial.imported(trial.source("smoke-teacher")), "smoke"
    else:
        model, benchmark = trial.model(), "humaneval"
    return model, trial.workbench.evaluations.prompts(benchmark, Decoding())[0][: _PROMPTS[trial.profile]]


def _takes_a_draft(trial: Trial) -> bool:
    return program_of(trial) is None and BenchJob.op in trial.sound_engine.capabilities()


def _need_a_draft(trial: Trial) -> None:
    """Raise where the engine takes no draft.

    `EngineRefusedError` with a program's own words, `Refuted` where it takes one that nothing here can measure (then
    the criterion is no longer blocked, and this is to be written), `NotHere` for an engine without words of its own.
    """
    if _takes_a_draft(trial):
        return
    program = program_of(trial)
    if program is None:
        raise NotHere(f"needs an engine that takes a draft: {trial.sound_engine.name} has none")
    model = trial.model()
    assert model.checkpoint is not None
    said = []
    for flag in _FLAGS:
        argv = (str(program), "run", str(model.checkpoint.path), "--prompt", "def", "--max-tokens", "4", flag)
        full = (*argv, str(model.checkpoint.path)) if flag == "--draft-model" else argv
        finished = run_command(Command(full, timeout=_SECONDS, name=trial.sound_engine.name))
        trial.commands.append(" ".join(full))
        if finished.exit_code != _USAGE:
            raise Refuted(f"{flag} is taken (exit code {finished.exit_code}): speculative decoding is to be measured")
        said.append((finished.stderr_tail.strip().splitlines() or [f"{flag}: exit code {_USAGE}"])[0])
    raise EngineRefusedError(trial.sound_engine.name, "; ".join(said), exit_code=_USAGE)
