"""What is asked with drafts, as the store knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apr_leaderboard.model.generation import DecodeParams
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.pipeline.answers import GeneratedAnswers
from apr_leaderboard.store import Node

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

_BEFORE = "21b7566cc6765b0811412811e4c4e42133f34cb99e5e61e3d125bcbbfceed206"
"""The key of such a request when there were no drafts."""

_RECIPE = """\
schema: 1
name: recipe-z-long
title: Answers alone
stages: [import, eval]
profiles:
  smoke:
    model: smoke
    benchmarks: [smoke]
    eval: {max_tokens: 64DRAFT}
"""


def _asked(bench: Bench, draft: str) -> tuple[str, dict[str, float | int]]:
    """The key of a recipe's answers, and how the report says that they were decoded."""
    bench.recipe("recipe-z-long", _RECIPE.replace("DRAFT", draft))
    workbench = bench.workbench()
    loaded = load_recipe(workbench.root / "recipes" / "recipe-z-long.yaml")
    (evaluation,) = (
        one for stage in workbench.plan(loaded, workbench.engine("reference")).stages for one in stage.evaluations
    )
    assert isinstance(evaluation.answers, GeneratedAnswers)
    return evaluation.answers.step.node.key, dict(evaluation.decoding)


def test_request_without_drafts_has_the_key_it_had_before_there_were_any() -> None:
    """Else every stored answer would have to be made anew."""
    params = DecodeParams(max_tokens=5).model_dump()
    assert Node("generate", {"decode": params, "prompts": "0" * 64}, {"model": "1" * 64}).key == _BEFORE


def test_recipe_that_drafts_nothing_asks_what_one_that_says_nothing_of_it_asks(bench: Bench) -> None:
    """And neither is told as drafted."""
    silent, decoding = _asked(bench, "")
    assert (silent, decoding) == _asked(bench, ", draft_tokens: 0")
    assert "draft_tokens" not in decoding


def test_recipe_that_drafts_has_answers_of_their_own_and_says_so(bench: Bench) -> None:
    """That drafts change no answer is for AC-018 to find, not for the store to suppose."""
    key, decoding = _asked(bench, ", draft_tokens: 16")
    assert key != _asked(bench, "")[0]
    assert decoding["draft_tokens"] == 16
