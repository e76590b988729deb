"""Scores as criteria need them: complete, paired, beside what was published."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.bench import Comparison, compare_runs
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.model.results import Interval
from apr_leaderboard.model.stage import StageName
from apr_leaderboard.pipeline import Decoding, EvaluationScore
from apr_leaderboard.proof import NotHere, Refuted

__all__ = ["merged_and_specialists", "need_complete", "paired", "published_of", "smoke_score"]

_MERGE: Final = "recipe-j-merge-specialists"
_SPECIALISTS: Final = ("smoke-specialist-a", "smoke-specialist-b")
_SMOKE: Final = Decoding(profile="standard", max_tokens=64)


def need_complete(score: EvaluationScore) -> tuple[float, Interval]:
    """pass@1 and its interval. Raises `Refuted` where a problem has no verdict: a rate over some is another figure.

    Raises `NotHere` where the user asked for some of the problems alone.
    """
    if score.result.partial:
        raise NotHere(f"{score.evaluation.title}: needs all of its problems, and a limit asks for some (--apr-limit)")
    if not score.result.complete or score.pass_at_1 is None:
        judged = f"{score.result.n_judged} of {score.result.n_problems}"
        raise Refuted(f"{score.evaluation.title}: {judged} problems have a verdict")
    return score.pass_at_1, score.result.interval["1"]


def paired(first: EvaluationScore, second: EvaluationScore) -> Comparison:
    """The second against the first, task by task. Raises as `need_complete`: what is lost in one is in no pair."""
    for score in (first, second):
        need_complete(score)
    runs = [{one.task_id: one.c > 0 for one in score.result.problems if one.n} for score in (first, second)]
    return compare_runs(*runs)


def published_of(trial: Trial, benchmark: str) -> float:
    """The model's published share of a benchmark. Raises `NotHere` where the catalogue has none."""
    entry = trial.workbench.sources.entry(trial.asked.model)
    found = [score for score in (one.of(benchmark) for one in entry.published) if score is not None]
    if trial.saboteur is not None and not found:
        return 1.0
    if not found:
        raise NotHere(f"needs a published score of {trial.asked.model} on {benchmark}; the catalogue has none")
    return found[0] / 100


def smoke_score(trial: Trial, model: str, *, by_reference: bool = False) -> EvaluationScore:
    """The smoke suite asked of a model the suite makes itself, by the engine or by the reference."""
    if trial.profile != "smoke":
        raise NotHere("needs both engines' answers of a real model to all of HumanEval: hours without a GPU")
    made = trial.source(model)
    if by_reference:
        return trial.score("smoke", made, f"{model} by reference", _SMOKE, engine=trial.workbench.engine("reference"))
    return trial.score("smoke", trial.imported(made), model, _SMOKE)


def merged_and_specialists(trial: Trial) -> tuple[EvaluationScore, dict[str, EvaluationScore]]:
    """The smoke suite asked of recipe J's merged model, and of what it merges."""
    merged = trial.stage(_MERGE, StageName.MERGE)
    specialists = {
        name: trial.score("smoke", trial.imported(trial.source(name)), name, _SMOKE, engine=trial.sound_engine)
        for name in _SPECIALISTS
    }
    return trial.score("smoke", merged, "merged", _SMOKE), specialists
