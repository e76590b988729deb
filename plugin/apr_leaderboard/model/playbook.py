"""The recipes as a playbook: a graph of commands, each with the files it needs and leaves, for a runner such as batuta.

`python -m apr_leaderboard.model.playbook recipes` writes recipes/infra/playbook.yaml from the recipes. The runner adds
nothing to a result: each command asks the suite for one stage, and the suite's store knows what is done.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from apr_leaderboard.model.recipe import Recipe, load_recipe
from apr_leaderboard.model.yamlfile import load_model

__all__ = ["Playbook", "PlaybookStage", "load_playbook", "playbook_of"]

Phase = Literal["validate", "data", "import", "optimise", "evaluate", "publish"]

_HEAD: Final = """\
# The twelve recipes as a graph of commands. Written by `python -m apr_leaderboard.model.playbook recipes`, and held to
# the recipes by a test: change those, and write this anew.
"""
_REPORTS: Final = "{{params.reports}}"
_OPTIONS: Final = "--apr-engine {{params.engine}} --apr-profile {{params.profile}} --apr-store {{params.store}}"
_VALIDATED: Final = f"{_REPORTS}/plan.txt"
_PHASES: Final[dict[str, Phase]] = {
    "import": "import",
    "prep-data": "data",
    "compile": "publish",
    "export": "publish",
    "submit": "publish",
    "eval": "evaluate",
}
"""Every other stage is of the phase that changes weights."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Place(_Frozen):
    """A file or folder a stage needs or leaves."""

    path: Annotated[str, Field(min_length=1)]


class PlaybookStage(_Frozen):
    """One command. It is run again when a file of `deps` has changed, after every stage in `after`."""

    description: str
    phase: Phase
    cmd: Annotated[str, Field(min_length=1)]
    deps: tuple[Place, ...]
    outs: tuple[Place, ...] = Field(min_length=1)
    after: tuple[str, ...] = ()
    target: str = "bench"


class Playbook(_Frozen):
    """The whole graph. Stages stand after those they need."""

    version: Literal["1.0"] = "1.0"
    name: str
    description: str
    params: dict[str, str]
    targets: dict[str, dict[str, str | int]]
    stages: dict[str, PlaybookStage]
    policy: dict[str, str | bool]

    @model_validator(mode="after")
    def _a_graph(self) -> Self:
        seen: list[str] = []
        for name, stage in self.stages.items():
            for before in stage.after:
                if before not in seen:
                    raise ValueError(f"{name} comes after {before!r}; allowed: a stage above it")
            if stage.target not in self.targets:
                raise ValueError(f"{name} runs on {stage.target!r}; allowed: {', '.join(self.targets)}")
            seen.append(name)
        return self

    def stages_of(self, recipe: str) -> tuple[str, ...]:
        """The stages of one recipe, in order."""
        return tuple(name.partition("/")[2] for name in self.stages if name.partition("/")[0] == recipe)


def playbook_of(recipes: Iterable[Recipe]) -> Playbook:
    """The graph: validate everything, then each recipe's stages one after the other, then the leaderboard."""
    stages = {
        "validate": PlaybookStage(
            description="Read and bind every recipe; say what would run, and what an engine refuses",
            phase="validate",
            cmd=f'pytest recipes {_OPTIONS} --apr-plan > "{_VALIDATED}"',
            deps=(Place(path="recipes/"), Place(path="recipes/catalogue.yaml")),
            outs=(Place(path=_VALIDATED),),
        )
    }
    last = []
    for recipe in recipes:
        before, left = "validate", _VALIDATED
        for stage in recipe.stages:
            name, out = f"{recipe.name}/{stage.value}", f"{_REPORTS}/{recipe.name}/{stage.value}"
            mark = f"{recipe.marks[0]} and stage_{stage.value.replace('-', '_')}"
            stages[name] = PlaybookStage(
                description=f"{recipe.title}: {stage.value}",
                phase=_PHASES.get(stage.value, "optimise"),
                cmd=f'pytest -m "{mark}" {_OPTIONS} --apr-report "{out}"',
                deps=(Place(path=f"recipes/{recipe.name}.yaml"), Place(path=left)),
                outs=(Place(path=out),),
                after=(before,),
            )
            before, left = name, out
        last.append((before, left))
    stages["leaderboard"] = PlaybookStage(
        description="One page of everything measured",
        phase="publish",
        cmd=f'apr-leaderboard leaderboard --reports {_REPORTS} --out "{_REPORTS}/index.html"',
        deps=tuple(Place(path=left) for _, left in last),
        outs=(Place(path=f"{_REPORTS}/index.html"),),
        after=tuple(name for name, _ in last),
    )
    return Playbook(
        name="apr-leaderboard",
        description="Every recipe from the model as it comes to its score",
        params={
            "engine": "apr",
            "profile": "real",
            "store": "/var/lib/apr-leaderboard/store",
            "reports": "reports/run",
        },
        targets={"bench": {"host": "bench", "cores": 16, "memory_gb": 128}},
        stages=stages,
        policy={"failure": "stop_on_first", "validation": "checksum", "lock_file": True},
    )


def load_playbook(file: Path) -> Playbook:
    """A playbook as written. Raises `FileFormatError`."""
    return load_model(file, Playbook).value


def main(argv: list[str] | None = None) -> int:
    """Write FOLDER/infra/playbook.yaml from FOLDER's recipes."""
    (folder,) = (Path(word) for word in (sys.argv[1:] if argv is None else argv))
    recipes = [load_recipe(file).value for file in sorted(folder.glob("recipe-*.yaml"))]
    body = playbook_of(recipes).model_dump(mode="json", exclude_defaults=False)
    text = yaml.safe_dump(body, sort_keys=False, width=1000, allow_unicode=True)
    (folder / "infra").mkdir(exist_ok=True)
    (folder / "infra" / "playbook.yaml").write_text(_HEAD + text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
