"""The suite's own quality: its contracts are bound, its code is clean, the engine's tools are wired or documented."""

from __future__ import annotations

import math

import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.binding import settled
from apr_leaderboard.criteria.probing import MISSION, reproducible, subcommands
from apr_leaderboard.criteria.quality import quality_counts
from apr_leaderboard.model.contract import Level
from apr_leaderboard.proof import coverage_of

_LEAST = 0.95


@pytest.mark.criterion("AC-012", asks="suite")
@pytest.mark.falsified_by("checks-without-saboteurs")
def test_nearly_all_obligations_are_bound_to_checks_that_can_fail(trial: Trial) -> None:
    """Every contract's checks run, and every saboteur. What needs hardware or models that are not here is told."""
    results = trial.given(settled(trial))
    asked = [one for one in results if one.level is not Level.OPEN]
    found = coverage_of(asked)
    trial.tell("obligations", len(results))
    trial.tell("open: not asked here", len(results) - len(asked))
    trial.tell("bound of all", found.bound / len(results))
    least = math.ceil(_LEAST * len(asked))
    trial.measure("saboteurs red", found.red, f"at least {least} of the {len(asked)} asked", found.red >= least)
    share = found.share or 0.0
    trial.measure("bound of those asked", share, f"at least {_LEAST}", share >= _LEAST)


@pytest.mark.criterion("AC-013", asks="suite")
@pytest.mark.falsified_by("code-with-findings")
def test_the_projects_own_quality_gate_is_clean(trial: Trial) -> None:
    """Linter, layout, types, licences, copied code."""
    for name, count in trial.given(quality_counts(trial)).items():
        trial.measure(name, count, "0", count == 0)


@pytest.mark.criterion("AC-027")
@pytest.mark.falsified_by("subcommands-are-gone")
def test_every_tool_of_the_mission_is_wired_or_its_gap_documented(trial: Trial) -> None:
    """The 19 subcommands of the mission; an engine of another make is asked for the jobs that they stand for."""
    answers = trial.given(subcommands(trial))
    missing = [name for name, known in answers.items() if not known]
    trial.tell("not known", ", ".join(missing) or "none")
    trial.measure("known", len(answers) - len(missing), f"all of {len(answers)}", not missing)
    trial.tell("subcommands of the mission", len(MISSION))


@pytest.mark.criterion("AC-027", asks="suite")
@pytest.mark.falsified_by("a-defect-without-a-command")
def test_every_known_defect_has_a_reproducer(trial: Trial) -> None:
    """A command that starts the engine; `-m defects` runs each."""
    with_command, all_of_them = reproducible(trial)
    trial.measure("defects with a reproducer", with_command, f"all of {all_of_them}", with_command == all_of_them > 0)
