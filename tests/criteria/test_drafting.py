"""Speculative decoding as AC-018 asks for it: of an engine with drafts, of one without, of a program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apr_leaderboard.criteria import Asked, Trial
from apr_leaderboard.criteria.drafting import answers_with_and_without_a_draft, speed_with_and_without_a_draft
from apr_leaderboard.criteria.saboteur import Saboteur
from apr_leaderboard.criteria.saboteurs import SABOTEURS
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.model.generation import Completion, DecodeParams, Prompt
from apr_leaderboard.model.record import EngineIdentity, StageRecord
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made

_PROMPTS = tuple(Prompt(task_id=f"t/{i}", raw=f"def f{i}(x):\n") for i in range(20))
_IDENTITY = EngineIdentity(name="x", version="1", build="0")
_PLAIN: Mapping[str, float | str] = {"tokens_per_second": 7.0, "backend": "jax 0.9 cpu"}
_RACED: Mapping[str, float | str] = {
    **_PLAIN, "plain_tokens_per_second": 4.0, "speedup": 1.75, "speedup_least": 1.5, "speedup_most": 2.0,
    "whole_speedup": 1.6, "n_rounds": 9, "n_differing": 0, "n_drafted": 30, "n_accepted": 3, "tokens_per_pass": 1.9,
}  # fmt: skip


class Drafting(Trial):
    """A trial whose engine measures what it is told to, and answers the same with and without a draft."""

    figures: Mapping[str, float | str] = _RACED

    def source(self, name: str | None = None) -> Made:
        """None is needed."""
        return Made(cast(Any, None), self.folder, Checkpoint(self.folder, "hf"))

    def imported(self, made: Made) -> Made:
        """As it is."""
        return made

    def make(self, job: Any, params: Any, models: Any, data: Path | None = None) -> Made:
        """The record alone; the job is bound, so that one nobody can make is seen."""
        bound = job((Checkpoint(self.folder, "hf"),))
        figures = self.figures if bound.prompts else _PLAIN
        record = StageRecord(op="bench", engine=_IDENTITY, command=("x", "bench"), figures=dict(figures))
        return Made(cast(Any, None), self.folder, record=record)

    def ask(self, made: Made, prompts: Sequence[Prompt], params: DecodeParams) -> list[Completion]:
        """An answer that repeats its prompt."""
        self.artefacts[f"asked {params.draft_tokens}"] = str(len(prompts))
        return [Completion(task_id=p.task_id, rendered=p.raw, text=f"{p.raw}    return x\n{p.raw}") for p in prompts]


def trial_of(folder: Path, program: str | None = None, saboteur: str | None = None, **engine: Any) -> Drafting:
    """A trial on an engine with a bench; on a program that is this script where there is one."""
    broken: Saboteur | None = SABOTEURS[saboteur] if saboteur else None
    made = {"name": "x", "identity": lambda: _IDENTITY, "capabilities": lambda: frozenset({"bench"}), **engine}
    if program is not None:
        file = folder / "program"
        file.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        file.chmod(0o755)
        made["binary"] = file
    workbench = SimpleNamespace(
        engine=lambda _: SimpleNamespace(**made),
        settings=SimpleNamespace(profile="smoke"),
        evaluations=SimpleNamespace(prompts=lambda name, decoding: (_PROMPTS, DecodeParams())),
    )
    return Drafting(cast(Workbench, workbench), Asked("AC-018", "test_it", "x", "smoke"), folder, broken)


def test_speed_of_an_engine_with_drafts_is_its_own_measurement(tmp_path: Path) -> None:
    """The median ratio decides; both speeds, their spread and the drafts are told beside it."""
    trial = trial_of(tmp_path)
    assert speed_with_and_without_a_draft(trial) == (1.75, 0)
    told = {one.name: one.value for one in trial.measures}
    assert told["tokens a second, plain"] == 4.0
    assert told["drafted / plain, least of all rounds"] == 1.5
    assert (told["tokens drafted"], told["tokens accepted of these"]) == (30, 3)


def test_speed_of_an_engine_whose_bench_knows_no_drafts_is_not_run(tmp_path: Path) -> None:
    """It is not held to have drafted."""
    trial = trial_of(tmp_path)
    trial.figures = _PLAIN
    with pytest.raises(NotHere, match="needs an engine that measures drafts: bench of x tells no speedup"):
        speed_with_and_without_a_draft(trial)


@pytest.mark.parametrize("ask", [speed_with_and_without_a_draft, answers_with_and_without_a_draft])
def test_draft_of_an_engine_that_measures_nothing_is_not_run(ask: Any, tmp_path: Path) -> None:
    """Words of ours would be no evidence of a refusal."""
    trial = trial_of(tmp_path, capabilities=lambda: frozenset({"generate"}))
    with pytest.raises(NotHere, match="needs an engine that takes a draft: x has none"):
        ask(trial)


@pytest.mark.parametrize("ask", [speed_with_and_without_a_draft, answers_with_and_without_a_draft])
def test_draft_of_a_program_that_refuses_is_blocked_in_its_own_words(ask: Any, tmp_path: Path) -> None:
    """Both flags are tried."""
    script = 'echo "error: unexpected argument $7" >&2; exit 2'
    trial = trial_of(tmp_path, script, capabilities=lambda: frozenset({"generate"}))
    with pytest.raises(EngineRefusedError, match=r"unexpected argument.*--draft-model.*; .*--speculative"):
        ask(trial)


def test_draft_of_a_program_that_takes_one_is_to_be_measured(tmp_path: Path) -> None:
    """Then the criterion is no longer blocked."""
    with pytest.raises(Refuted, match="--draft-model is taken"):
        answers_with_and_without_a_draft(trial_of(tmp_path, "exit 0"))


def test_answers_are_asked_with_and_without_a_draft(tmp_path: Path) -> None:
    """The same prompts, sixteen of them."""
    trial = trial_of(tmp_path)
    plain, drafted = answers_with_and_without_a_draft(trial)
    assert plain == drafted
    assert trial.artefacts == {"asked 0": "16", "asked 16": "16"}


@pytest.mark.parametrize("program", [None, "exit 2"], ids=["engine-with-drafts", "program-without"])
def test_answers_in_the_hands_of_a_draft_that_nobody_checks_are_others(program: str | None, tmp_path: Path) -> None:
    """Every one of them: the second half is copied from where the first was last seen."""
    plain, drafted = answers_with_and_without_a_draft(trial_of(tmp_path, program, "draft-changes-tokens"))
    assert all(one.text != other.text for one, other in zip(plain, drafted, strict=True))
    assert all(other.text.startswith(one.text[: len(one.text) // 2]) for one, other in zip(plain, drafted, strict=True))


@pytest.mark.parametrize("program", [None, "exit 2"], ids=["engine-with-drafts", "program-without"])
def test_speed_in_the_hands_of_a_draft_that_slows_is_below_one(program: str | None, tmp_path: Path) -> None:
    """Whether or not there is a draft to slow."""
    assert speed_with_and_without_a_draft(trial_of(tmp_path, program, "a-draft-that-slows")).speedup < 1
