"""What is to be done with a model on its way to a leaderboard: one file a model, recipes/models/NAME.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from apr_leaderboard.model.recipe import RecipeProfile
from apr_leaderboard.model.stage import AlignParams, FinetuneParams, PruneParams, QuantizeParams, StageName
from apr_leaderboard.model.yamlfile import load_model

__all__ = ["ModelPlan", "load_model_plans"]


class ModelPlan(RecipeProfile):
    """A model of the catalogue, the benchmarks it is measured on, and the parameters of each stage it is to go through.

    A recipe says in which order stages run; here stands what suits the model. Stages without a key are not planned.
    """

    schema_: Literal[1] = Field(alias="schema")
    family: Annotated[str, Field(min_length=1)]
    leaderboard: Literal["bigcode", "evalplus", "open-llm-leaderboard"]
    role: Literal["candidate", "teacher"] = "candidate"
    quantization: Literal["fp16", "int8", "q4k"] = Field(description="how it is measured before anything is done to it")
    thinking: bool = Field(default=False, description="reasons at length before it answers, and needs room for that")
    goal: Annotated[str, Field(min_length=1, max_length=200)]

    @property
    def stages(self) -> tuple[StageName, ...]:
        """What is planned, in the order stages go."""
        written = {name.removesuffix("_") for name in self.model_fields_set}
        return tuple(stage for stage in StageName if stage.key in written)

    @property
    def words(self) -> str:
        """In a line: `qlora rank 16, magnitude 0.4, int4, compile`; `eval only` where nothing is done to it."""
        parts = [_words(stage, self.params(stage)) for stage in self.stages if stage is not StageName.EVAL]
        return ", ".join(parts) or "eval only"


def _words(stage: StageName, params: object) -> str:
    match params:
        case FinetuneParams() | AlignParams():
            return f"{params.method} rank {params.rank}"
        case PruneParams():
            return f"{params.method} {params.target_ratio:g}"
        case QuantizeParams():
            return params.scheme
        case _:
            return stage.value


def load_model_plans(folder: Path, names: Iterable[str]) -> dict[str, ModelPlan]:
    """Every plan of a folder by its model; a folder that is not there holds none.

    `names` are the catalogue's models. Raises `FileFormatError` where a file breaks its format, is not called as its
    model, or names one that is not in the catalogue.
    """
    known = sorted(names)
    plans = {}
    for file in sorted(folder.glob("*.yaml")):
        loaded = load_model(file, ModelPlan)
        plan = loaded.value
        if plan.model not in known:
            raise loaded.error(
                ("model",), f"got {plan.model!r}", allowed=f"a model of the catalogue: {', '.join(known)}"
            )
        if plan.model != file.stem:
            raise loaded.error(("model",), f"got {plan.model!r}", allowed=f"{file.stem!r}, as the file is called")
        plans[plan.model] = plan
    return plans
