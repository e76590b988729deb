"""The training data: clean of the benchmarks, and good."""

from __future__ import annotations

import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.auditing import contaminated, problem_texts, quality_scores, training_files
from apr_leaderboard.criteria.working import decontaminate


@pytest.mark.criterion("AC-016")
@pytest.mark.falsified_by("benchmarks-in-the-training-data")
def test_less_than_one_percent_of_the_training_data_overlaps_with_the_benchmarks(trial: Trial) -> None:
    """Shared runs of ten words, half of a sample's or more, counted by this side."""
    problems = problem_texts(trial)
    for name, rows in trial.given((training_files(trial), problems))[0].items():
        share = contaminated(rows, problems) / len(rows)
        trial.measure(f"contaminated in {name} ({len(rows)} samples)", share, "below 0.01", share < 0.01)
    trial.measure("benchmark problems", len(problems), "at least 1", bool(problems))


@pytest.mark.criterion("AC-016")
@pytest.mark.falsified_by("decontamination-keeps-everything")
def test_the_engine_finds_what_was_planted_in_the_data(trial: Trial) -> None:
    """HumanEval's own problems among clean samples: the engine finds what this side counts, and nothing else."""
    cleaned = decontaminate(trial)
    trial.tell("samples", cleaned.total)
    planted = cleaned.planted
    wanted = f"the {planted} that were planted"
    trial.measure("samples that the engine finds", cleaned.found, wanted, cleaned.found == planted > 0)
    if cleaned.left is not None:
        trial.measure("planted samples that it left in", cleaned.left, "0", cleaned.left == 0)


@pytest.mark.criterion("AC-025")
@pytest.mark.falsified_by("answers-are-cut")
def test_the_training_data_scores_eighty_of_a_hundred(trial: Trial) -> None:
    """100 times the mean of: not nearly the same as one before, length, parses, every name bound."""
    for name, rows in trial.given((training_files(trial), []))[0].items():
        scores = quality_scores(rows)
        mean = sum(scores) / len(scores)
        trial.measure(f"mean score of {name} ({len(rows)} samples)", mean, "at least 80", mean >= 80)
