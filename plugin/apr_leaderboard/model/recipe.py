"""A recipe: stages in order, and for each profile the model, the benchmarks and every stage's parameters."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from apr_leaderboard.model.monitoring import Monitoring
from apr_leaderboard.model.stage import (
    AlignParams,
    CompileParams,
    DistillParams,
    EvalParams,
    ExportParams,
    FinetuneParams,
    ImportParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
    StageName,
    StageParams,
    SubmitParams,
)
from apr_leaderboard.model.yamlfile import Loaded, load_model

__all__ = ["ProfileName", "Recipe", "RecipeProfile", "load_recipe", "order_warnings"]

ProfileName = Literal["smoke", "real"]

_GOLDEN_ORDER = ("distill", "finetune", "align", "merge", "prune", "quantize")
_ORDER_REASONS = {
    ("distill", "finetune"): "finetuning specialises what distillation taught; the other way round wipes it out",
    ("distill", "align"): "alignment refines what distillation taught; the other way round wipes it out",
    ("finetune", "align"): "preferences are learnt by a model that can do the task already",
    ("align", "merge"): "training after a merge pulls the model away from the point the merge chose",
    ("align", "prune"): "training after pruning fills the zeros again",
    ("align", "quantize"): "training does not work on weights that are already quantized",
    ("distill", "merge"): "a merge should join models that have already learnt from the teacher",
    ("distill", "prune"): "a pruned student has less room to learn from the teacher",
    ("distill", "quantize"): "training does not work on weights that are already quantized",
    ("finetune", "merge"): "training after a merge pulls the model away from the point the merge chose",
    ("finetune", "prune"): "training after pruning fills the zeros again",
    ("finetune", "quantize"): "training does not work on weights that are already quantized",
    ("merge", "prune"): "merging a pruned model with a dense one brings the pruned weights back",
    ("merge", "quantize"): "averaging weights that are already rounded adds their errors up",
    ("prune", "quantize"): "pruning scores need full-precision weights, and rounding must see the final zeros",
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


def _training_kind(value: object) -> str:
    method = value.get("method") if isinstance(value, dict) else getattr(value, "method", None)
    return "align" if method in ("dpo", "orpo") else "train"


class RecipeProfile(_Frozen):
    """One size of a recipe: `smoke` runs in minutes on 2 cores, `real` is the mission's own."""

    model: str = Field(description="a name in the catalogue, a path, or hf://owner/name@revision/file")
    benchmarks: tuple[str, ...] = Field(min_length=1)
    import_: ImportParams = Field(default=ImportParams(), alias="import")
    prep_data: PrepDataParams | None = Field(default=None, alias="prep-data")
    distill: DistillParams | None = None
    # dpo and orpo may stand under finetune as well, as the mission's own recipe has it: it is the same stage.
    finetune: (
        Annotated[
            Annotated[FinetuneParams, Tag("train")] | Annotated[AlignParams, Tag("align")],
            Discriminator(_training_kind),
        ]
        | None
    ) = None
    align: AlignParams | None = None
    merge: MergeParams | None = None
    prune: PruneParams | None = None
    quantize: QuantizeParams | None = None
    compile: CompileParams = CompileParams()
    export: ExportParams = ExportParams()
    eval: EvalParams | None = None
    submit: SubmitParams | None = None
    monitoring: Monitoring | None = Field(default=None, description="in place of the recipe's own, in this profile")

    def params(self, stage: StageName) -> StageParams | None:
        """The parameters written for a stage, or None."""
        value = getattr(self, _field_of(stage))
        assert value is None or isinstance(value, StageParams)
        return value


class Recipe(_Frozen):
    """One of `recipes/recipe-*.yaml`."""

    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^recipe-[a-z0-9]+(-[a-z0-9]+)*$")]
    title: Annotated[str, Field(min_length=1, max_length=200)]
    stages: tuple[StageName, ...] = Field(min_length=1)
    profiles: dict[ProfileName, RecipeProfile] = Field(min_length=1)
    monitoring: Monitoring = Monitoring()

    @field_validator("stages")
    @classmethod
    def _each_stage_once(cls, stages: tuple[StageName, ...]) -> tuple[StageName, ...]:
        for index, stage in enumerate(stages):
            if stage in stages[:index]:
                chain = " -> ".join(stages[: index + 1])
                raise ValueError(f"stage {stage.value!r} comes again, a cycle: {chain}; allowed: each stage once")
        return stages

    @model_validator(mode="after")
    def _profiles_hold_the_same_stages(self) -> Recipe:
        for name, profile in self.profiles.items():
            for stage in StageName:
                if _field_of(stage) in profile.model_fields_set and stage not in self.stages:
                    raise ValueError(
                        f"profile {name!r} has parameters for {stage.value!r}, which is no stage of this recipe"
                        f"; allowed: {', '.join(self.stages)}"
                    )
                if stage in self.stages and profile.params(stage) is None:
                    raise ValueError(
                        f"profile {name!r} lacks parameters for stage {stage.value!r}"
                        f"; allowed: a key for each of {', '.join(self.stages)}"
                    )
        return self

    def monitoring_of(self, profile: ProfileName) -> Monitoring:
        """What is watched in a profile."""
        own = self.profiles[profile].monitoring
        return self.monitoring if own is None else own

    @property
    def marks(self) -> tuple[str, ...]:
        """The pytest marks of this recipe: `recipe_a` and the whole name with underscores."""
        return recipe_marks(self.name)


def _field_of(stage: StageName) -> str:
    return "import_" if stage is StageName.IMPORT else stage.key


def recipe_marks(name: str) -> tuple[str, ...]:
    """`recipe-a-quick-lora` -> (`recipe_a`, `recipe_a_quick_lora`)."""
    short = "_".join(name.split("-")[:2])
    whole = re.sub(r"\W", "_", name)
    return (short,) if short == whole else (short, whole)


def load_recipe(file: Path) -> Loaded[Recipe]:
    """Parse a recipe file. Raises `FileFormatError`."""
    loaded = load_model(file, Recipe)
    if loaded.value.name != file.stem:
        raise loaded.error(("name",), f"got {loaded.value.name!r}", allowed=f"{file.stem!r}, the file's own name")
    return loaded


def order_warnings(recipe: Recipe) -> list[str]:
    """One line for each pair of neighbours that stands against the golden order, with the reason."""
    known = [stage.value for stage in recipe.stages if stage.value in _GOLDEN_ORDER]
    lines = []
    for first, second in itertools.pairwise(known):
        if _GOLDEN_ORDER.index(first) > _GOLDEN_ORDER.index(second):
            reason = _ORDER_REASONS[(second, first)]
            lines.append(f"{recipe.name}: {first} stands before {second}; {second} belongs first: {reason}")
    return lines
