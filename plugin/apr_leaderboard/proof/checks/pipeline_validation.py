"""A recipe can be read, bound and done: by this suite's models and by the engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final, get_args

from pydantic import ValidationError

from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.model.stage import StageName, StageParams
from apr_leaderboard.proof.check import expect, measured, proved
from apr_leaderboard.proof.lab import Lab

__all__ = ["CHECKS"]

_NEEDED: Final = {"eval": ("generate", "perplexity"), "submit": ("export",)}
_MODELS: Final = get_args(StageParams)


def engine_does_every_stage(lose: Callable[[frozenset[str]], frozenset[str]], lab: Lab) -> str:
    """Each stage a recipe may name is an operation of the engine."""
    able = lose(lab.engine.capabilities())
    needed = {op for stage in StageName for op in _NEEDED.get(stage.value, (stage.value,))}
    expect(needed <= able, f"{lab.engine.name} cannot: {', '.join(sorted(needed - able))}")
    return f"{lab.engine.name}: {len(needed)} operations"


def recipes_can_be_read(change: Callable[[str], str], lab: Lab) -> str:
    """Every recipe parses, and holds each of its stages' parameters."""
    folder = Path(mkdtemp(dir=lab.folder))
    files = sorted((lab.root / "recipes").glob("recipe-*.yaml"))
    expect(files, "there is no recipe")
    for file in files:
        copy = Path(shutil.copy(file, folder))
        copy.write_text(change(copy.read_text(encoding="utf-8")), encoding="utf-8")
        try:
            load_recipe(copy)
        except FileFormatError as error:
            expect(False, f"{file.name}: {error.problem}")
    return f"{len(files)} recipes"


def nothing_unknown_is_let_through(parse: Callable[[Any, dict[str, Any]], Any]) -> str:
    """Of every stage, every parameter's name with one letter changed is refused: nothing misspelt is ignored.

    Refused for that name: what is refused because another parameter is missing shows nothing.
    """
    tried = 0
    for model in _MODELS:
        for name in model.model_fields:
            for place in range(len(name)):
                wrong = f"{name[:place]}#{name[place + 1 :]}"
                expect(_refused(parse, model, wrong), f"{model.__name__} takes {wrong!r}")
                tried += 1
    return f"{tried} misspellings of the parameters of {len(_MODELS)} stages"


def _refused(parse: Callable[[Any, dict[str, Any]], Any], model: Any, name: str) -> bool:
    try:
        parse(model, {name: 1})
    except ValidationError as error:
        return any(one["type"] == "extra_forbidden" and one["loc"] == (name,) for one in error.errors())
    return False


def _permissive(model: Any, values: dict[str, Any]) -> Any:
    return model(**{name: value for name, value in values.items() if name in model.model_fields})


CHECKS: Final = (
    measured("FALSIFY-PIPE-001", engine_does_every_stage, lambda ops: ops, lambda ops: ops - {"merge"}),
    measured("FALSIFY-PIPE-002", recipes_can_be_read, lambda text: text, lambda text: text + "unheard_of: 1\n"),
    proved("FALSIFY-PIPE-003", nothing_unknown_is_let_through, lambda model, v: model(**v), _permissive),
)
