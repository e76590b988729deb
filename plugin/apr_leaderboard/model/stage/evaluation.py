"""The stage that asks and counts: eval."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from apr_leaderboard.model.stage.base import Params

__all__ = ["EvalParams"]


class EvalParams(Params):
    """Answer a benchmark's prompts, run the answers, count what passes."""

    prompt_profile: str = "standard"
    max_tokens: Annotated[int, Field(ge=1)] = 512
    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_k: Annotated[int, Field(ge=0)] = 0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    draft_tokens: Annotated[int, Field(ge=0, le=31)] = Field(
        default=0, description="most tokens drafted for an answer and checked in one pass; changes no answer"
    )
    samples: Annotated[int, Field(ge=1)] = 1
    perplexity: str | None = Field(
        default=None, description="a text dataset: the model's perplexity on it is measured after every stage"
    )
    baseline: bool = Field(default=True, description="also evaluate the model as imported, for comparison")
    min_solved: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="benchmark: fewest problems the final model must solve"
    )
    max_baseline_solved: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="benchmark: most problems the imported model may solve"
    )
