"""docs/from-make.md: every target of the field's Makefile, and commands that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from apr_leaderboard.bench import BUILT_IN
from apr_leaderboard.cli import app
from apr_leaderboard.model.contract import contract_mark
from apr_leaderboard.model.recipe import load_recipe, recipe_marks
from apr_leaderboard.options import OPTIONS
from apr_leaderboard.pipeline import mark_of

_WORDS = (
    "align bench benchmark-download book check check-contracts clean combine-training-data "
    "compare-hf compare-results compile data-balance data-quality data-split decontaminate distill "
    "distill-eval distill-finetune distill-generate docs docs-serve dogfood dpo-pipeline eval-all "
    "eval-bigcodebench eval-humaneval eval-mbpp eval-perplexity eval-sweep failure-analysis finetune "
    "finetune-instruct generate-preference-pairs generate-training-data import import-plan inspect "
    "leaderboard merge model-card pipeline pipeline-plan prep-data prep-data-audit "
    "prepare-calibration-data proof-status prove-wgpu prune publish qa quantize results-history "
    "status validate validate-ac022 validate-teacher verify"
)
TARGETS = _WORDS.split()
"""The field's own."""

_ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (.*?) \| (.*?) ?\|$", re.MULTILINE)
_COMMAND = re.compile(r"`((?:pytest|apr-leaderboard|mkdocs) [^`]+)`")
_PLACEHOLDERS = {"MODEL", "REPORT", "OWNER/NAME"}


def _table(root: Path) -> dict[str, tuple[str, str]]:
    text = (root / "docs" / "from-make.md").read_text()
    return {target: (command, remark) for target, command, remark in _ROW.findall(text)}


def _commands(root: Path) -> list[list[str]]:
    cells = " ".join(cell for row in _table(root).values() for cell in row)
    return [shlex.split(command) for command in _COMMAND.findall(cells)]


def _marks(root: Path) -> set[str]:
    """Every mark our items can carry."""
    recipes = sorted((root / "recipes").glob("recipe-*.yaml"))
    marks = {mark for file in recipes for mark in recipe_marks(file.stem)}
    marks |= {contract_mark(file.stem) for file in (root / "contracts").glob("*.yaml")}
    marks |= {mark_of(benchmark.name) for benchmark in BUILT_IN}
    marks |= {mark_of(file.stem) for file in (root / "recipes" / "suites").glob("*.yaml")}
    criteria = re.findall(r"id: (AC-\d+)", (root / "acceptance" / "criteria.yaml").read_text())
    return marks | {name.lower().replace("-", "_") for name in criteria} | {"contracts", "acceptance"}


def test_table_has_a_row_for_each_target(project_root: Path) -> None:
    """Nothing missing, nothing invented, none without a command."""
    table = _table(project_root)
    assert len(TARGETS) == 57
    assert sorted(table) == TARGETS
    assert [target for target, (command, _) in table.items() if not _COMMAND.search(command)] == []


def test_table_s_pytest_commands_name_marks_and_options_that_exist(project_root: Path) -> None:
    """A mark that nothing carries would select nothing, in silence."""
    known, flags = _marks(project_root), {option.flag for option in OPTIONS}
    asked = [words for words in _commands(project_root) if words[0] == "pytest"]
    assert len(asked) > 30
    for words in asked:
        expression = words[words.index("-m") + 1] if "-m" in words else ""
        names = set(re.findall(r"\w+", expression)) - {"and", "or", "not"}
        assert {name for name in names if not name.startswith("stage_")} <= known, expression
        assert {word for word in words if word.startswith("--apr-")} <= flags, words
        if "-m" not in words:
            assert (project_root / words[1]).exists()


def test_table_s_stages_are_stages_of_the_recipe_named_with_them(project_root: Path) -> None:
    """`recipe_d and stage_compile` selects something."""
    stages = {
        recipe_marks(file.stem)[0]: {
            f"stage_{stage.value.replace('-', '_')}" for stage in load_recipe(file).value.stages
        }
        for file in (project_root / "recipes").glob("recipe-*.yaml")
    }
    pairs = [
        found.groups()
        for words in _commands(project_root)
        if (found := re.search(r"(recipe_\w) and (stage_\w+)", " ".join(words)))
    ]
    assert pairs
    assert [(recipe, stage) for recipe, stage in pairs if stage not in stages[recipe]] == []


def test_table_s_other_commands_exist_with_their_arguments(project_root: Path) -> None:
    """Sub-command, options, and as many arguments as it wants."""
    root: Any = typer.main.get_command(app)
    asked = [words[1:] for words in _commands(project_root) if words[0] == "apr-leaderboard"]
    assert len(asked) > 10
    for words in asked:
        command, rest = root, list(words)
        while rest and rest[0] in getattr(command, "commands", {}):
            command = command.commands[rest.pop(0)]
        assert command is not root, words
        options = {flag for param in command.params for flag in param.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words
        wanted = [param for param in command.params if param.param_type_name == "argument" and param.required]
        values = {rest[place + 1] for place, word in enumerate(rest[:-1]) if word.startswith("--")}
        given = [word for word in rest if not word.startswith("--") and word not in values - _PLACEHOLDERS]
        assert len([word for word in given if word not in {"MODEL", "OWNER/NAME"}]) == len(wanted), words


@pytest.mark.parametrize("broken", ["pytest -m recipe_z", "pytest -m humaneval --apr-modal MODEL"])
def test_check_of_the_table_can_fail(project_root: Path, broken: str) -> None:
    """A recipe that is none and an option that is none are not let through."""
    words = shlex.split(broken)
    known, flags = _marks(project_root), {option.flag for option in OPTIONS}
    assert words[2] not in known or not {word for word in words if word.startswith("--apr-")} <= flags
