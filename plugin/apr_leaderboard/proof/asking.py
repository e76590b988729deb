"""The smoke suite asked of models and judged in the sandbox, before and after; problem by problem, as it must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from apr_leaderboard.bench import Comparison, compare_runs
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.stage import StageParams
from apr_leaderboard.pipeline import Decoding
from apr_leaderboard.pipeline.evaluation import Evaluation, EvaluationMaker, Subject
from apr_leaderboard.proof.check import expect
from apr_leaderboard.proof.lab import Lab, Made
from apr_leaderboard.proof.nothere import NotHere
from apr_leaderboard.proof.trained import staged

__all__ = ["MAX_TOKENS", "compared", "exchanges", "keeps", "solved"]

_SUITE: Final = "smoke"
MAX_TOKENS: Final = 64
_DECODING: Final = Decoding(profile="standard", max_tokens=MAX_TOKENS)
"""As the recipes' smoke profiles ask it: greedily."""


def solved(lab: Lab, made: Made) -> dict[str, bool]:
    """Each problem of the smoke suite, and whether the model's answer passes its tests.

    Raises as `exchanges`, `Refuted` where a problem has no verdict, `HarnessError` where the suite's own solutions do
    not pass, and whatever the sandbox does.
    """
    score = lab.workbench.score(_asked(lab, made))
    if score.invalid:
        raise HarnessError(f"the self-check of {_SUITE} fails: {score.invalid[0]}")
    result = score.result
    expect(result.complete, f"{result.n_judged} of {result.n_problems} problems have a verdict")
    return {problem.task_id: problem.c > 0 for problem in result.problems}


def compared(lab: Lab, before: Made, after: Made) -> Comparison:
    """The second model against the first, problem by problem; raises as `solved`."""
    return compare_runs(solved(lab, before), solved(lab, after))


def keeps(lab: Lab, name: str, stages: Sequence[StageParams], most: float) -> str:
    """Stages done on a model of the catalogue lose at most a share `most` of the problems; what was seen, in words.

    The figure decides, as the contracts have it; the words say what so few problems cannot show. Raises as `solved`.
    """
    found = compared(lab, lab.named(name), staged(lab, name, *stages))
    if not found.solved_a:
        raise HarnessError(f"{name} solves nothing of {_SUITE}: there is nothing to lose")
    expect(found.difference >= -most, found.statement())
    return f"{lab.engine.name}, {name}: {found.statement()}"


def exchanges(lab: Lab, made: Made, most: int) -> list[tuple[str, str]]:
    """The suite's first prompts, each as the one message it is, and the engine's own answers.

    Raises `NotHere` where it would have to be asked and nobody waits, and whatever the engine does.
    """
    evaluation = _asked(lab, made)
    answers = evaluation.answers.ensure(lab.workbench.runner)
    prompts = evaluation.answers.prompts[:most]
    return [(prompt.messages[-1].content, answers.of(prompt.task_id)[0].text) for prompt in prompts]


def _asked(lab: Lab, made: Made) -> Evaluation:
    workbench = lab.workbench
    # A maker of its own: what the user said of data and limits is about other benchmarks.
    maker = EvaluationMaker(lab.root, workbench.sources)
    subject = Subject(f"{_SUITE} {made.upstream.key[:12]}", made.upstream, lab.engine)
    evaluation = maker.of_subject(_SUITE, subject, _DECODING)
    if not lab.patient and not workbench.answers_here(evaluation):
        raise NotHere(f"needs answers to the {_SUITE} suite: `pytest -m contracts` asks for them")
    return evaluation
