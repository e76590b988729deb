"""What models solve, against the mission's figures and against each other."""

from __future__ import annotations

import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.scoring import merged_and_specialists, need_complete, paired, published_of
from apr_leaderboard.criteria.working import quantize
from apr_leaderboard.model.stage import QuantizeParams, StageName
from apr_leaderboard.pipeline import Decoding

_OFFICIAL = Decoding(profile="qwen-official")
_GOAL = 0.85
_RECIPE_C = "recipe-c-full-pipeline"


@pytest.mark.criterion("AC-021")
@pytest.mark.falsified_by("model-knows-nothing")
def test_the_model_solves_as_much_of_humaneval_as_is_published(trial: Trial) -> None:
    """A 7B at least 85 %; a smaller one at least what its own publication gives, or not less beyond chance."""
    found = trial.score("humaneval", trial.model(), trial.asked.model, _OFFICIAL)
    rate, interval = need_complete(found)
    published = published_of(trial, "humaneval")
    trial.tell("published", published)
    if published >= _GOAL:
        trial.measure("pass@1", rate, f"at least {_GOAL}", rate >= _GOAL, interval=interval)
    else:
        reached = f"its interval reaches {published:.3f}, as published"
        trial.measure("pass@1", rate, reached, interval.high >= published, interval=interval)


@pytest.mark.criterion("AC-022")
@pytest.mark.falsified_by("model-knows-nothing")
def test_the_full_pipeline_passes_the_compound_gate(trial: Trial) -> None:
    """All three at once, on the model that recipe C makes."""
    made = trial.stage(_RECIPE_C, StageName.QUANTIZE)
    for benchmark, least in (("humaneval", 0.85), ("humaneval-plus", 0.82), ("mbpp", 0.80)):
        rate, interval = need_complete(trial.score(benchmark, made, "the model of recipe C", _OFFICIAL))
        trial.measure(f"pass@1 on {benchmark}", rate, f"at least {least}", rate >= least, interval=interval)


@pytest.mark.criterion("AC-023")
@pytest.mark.falsified_by("int4-knows-nothing")
def test_int4_loses_less_than_two_points(trial: Trial) -> None:
    """The same tasks, answered in half precision and in four bits."""
    half, small = (quantize(trial, QuantizeParams(scheme=scheme)) for scheme in ("fp16", "int4"))
    before = trial.score("humaneval", half, f"{trial.asked.model} in fp16", _OFFICIAL)
    after = trial.score("humaneval", small, f"{trial.asked.model} in int4", _OFFICIAL)
    found = paired(*trial.given((before, after)))
    trial.tell("paired test", found.statement())
    trial.measure("pass@1 lost", -found.difference, "below 0.02", -found.difference < 0.02)


@pytest.mark.criterion("AC-024")
@pytest.mark.falsified_by("merged-model-knows-nothing")
def test_a_merged_model_is_at_least_as_good_as_the_best_specialist(trial: Trial) -> None:
    """Two specialists that each know half of the smoke tasks, and what recipe J makes of them."""
    merged, specialists = merged_and_specialists(trial)
    for name, score in specialists.items():
        trial.tell(f"solved by {name}", score.n_solved)
    best = max(specialists.values(), key=lambda score: score.n_solved)
    trial.tell("paired test", paired(best, merged).statement())
    least = best.n_solved
    trial.measure("solved by the merged model", merged.n_solved, f"at least {least}", merged.n_solved >= least > 0)
