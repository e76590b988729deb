"""Write the reference pages of docs/ from what they describe: `python .ci/make_reference.py [--check]`.

Options come from the table that pytest is given, files from the models that read them, commands from the console
script itself. With --check nothing is written, and the exit code is 1 where a page is not what it should be.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from apr_leaderboard.bench import Benchmark
from apr_leaderboard.cli import app
from apr_leaderboard.model.catalogue import Catalogue
from apr_leaderboard.model.contract import Contract
from apr_leaderboard.model.criterion import CriteriaFile, DefectsFile
from apr_leaderboard.model.recipe import Recipe
from apr_leaderboard.options import OPTIONS

DOCS = Path(__file__).resolve().parents[1] / "docs"
_MADE = "<!-- made by .ci/make_reference.py; do not edit -->"
_FILES: tuple[tuple[str, str, type[BaseModel]], ...] = (
    ("recipes/recipe-NAME.yaml", "A recipe: stages in order, and what each takes in each profile.", Recipe),
    ("recipes/suites/NAME.yaml", "A benchmark of your own.", Benchmark),
    ("recipes/catalogue.yaml", "Models and datasets by name.", Catalogue),
    ("contracts/NAME.yaml", "A contract: obligations, and what is tried against them.", Contract),
    ("acceptance/criteria.yaml", "The acceptance criteria.", CriteriaFile),
    ("acceptance/known_defects.yaml", "What engines are known to do wrong.", DefectsFile),
)


def options_page() -> Iterator[str]:
    """Every --apr-* option with its ini twin."""
    yield from (
        "# Options",
        "",
        _MADE,
        "",
        "Every option has a twin in the ini file: `--apr-engine x` is `apr_engine = x`.",
        "",
    )
    yield from ("| option | takes | default | |", "|---|---|---|---|")
    for option in OPTIONS:
        default = "" if option.default in (None, False, "") else f"`{_plain(option.default)}`"
        more = " (may be repeated)" if option.many else ""
        takes = f"`{option.metavar}`" if option.metavar else "a flag"
        yield f"| `{option.flag}` | {_cell(takes)} | {default} | {_cell(option.help)}{more} |"


def files_page() -> Iterator[str]:
    """Every key of every file users write."""
    yield from ("# Files", "", _MADE, "", "An unknown key is an error, told with its line and what is accepted there.")
    for name, words, model in _FILES:
        yield from ("", f"## {name}", "", words)
        seen: list[type[BaseModel]] = [model]
        for one in seen:
            yield from _model(one, seen, head=one is not model)


def commands_page() -> Iterator[str]:
    """Every command of the console script with its options."""
    yield from ("# Commands", "", _MADE, "", "What is no test: `apr-leaderboard COMMAND`; each takes `--help`.")
    root: Any = typer.main.get_command(app)
    for path, command in sorted(_commands(root, ())):
        yield from ("", f"## {' '.join(path)}", "", _paragraph(command.help or command.callback.__doc__ or ""))
        rows = [row for parameter in command.params if (row := _parameter(parameter))]
        if rows:
            yield from ("", "| | |", "|---|---|", *rows)


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    nested = getattr(command, "commands", None)
    if path and command.callback is not None and (nested is None or getattr(command, "invoke_without_command", False)):
        yield path, command
    for name, one in (nested or {}).items():
        yield from _commands(one, (*path, name))


def _parameter(parameter: Any) -> str:
    if parameter.name == "help":
        return ""
    names = [*parameter.opts, *parameter.secondary_opts]
    if parameter.param_type_name == "argument":
        names = [parameter.metavar or str(parameter.name).upper()]
    return f"| {', '.join(f'`{name}`' for name in names)} | {_cell(getattr(parameter, 'help', None) or '')} |"


def _model(model: type[BaseModel], seen: list[type[BaseModel]], *, head: bool) -> Iterator[str]:
    if head:
        yield from ("", f"### {model.__name__}", "", _paragraph(model.__doc__ or ""))
    yield from ("", "| key | takes | default | |", "|---|---|---|---|")
    for name, field in model.model_fields.items():
        takes = _type(field.annotation, seen)
        yield f"| `{field.alias or name}` | {_cell(takes)} | {_default(field)} | {_cell(field.description or '')} |"


def _type(annotation: Any, seen: list[type[BaseModel]]) -> str:
    """What a value may be, in words; models met on the way are put on the list."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0], seen)
    if origin is Literal:
        return ", ".join(f"`{one}`" for one in inner)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_type(one, seen) for one in inner if one is not NoneType))
    if origin in (tuple, list, set, frozenset):
        return f"a list of {_type(inner[0], seen)}"
    if origin is dict:
        return f"{_type(inner[0], seen)}: {_type(inner[1], seen)}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation not in seen:
            seen.append(annotation)
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    known = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return known.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value in ("", (), {}, []) or isinstance(value, BaseModel):
        return ""
    return f"`{_cell(_plain(value))}`"


def _plain(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(_plain, value))
    if isinstance(value, bool):
        return str(value).lower()
    return str(value.value) if isinstance(value, Enum) else str(value)


def _paragraph(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")).strip()


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


PAGES = {
    "reference-options.md": options_page,
    "reference-files.md": files_page,
    "reference-commands.md": commands_page,
}


def main(words: list[str]) -> int:
    """Write the pages, or with --check compare them."""
    stale = []
    for name, make in PAGES.items():
        text = "\n".join(make()) + "\n"
        file = DOCS / name
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in words:
            file.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'not current' if '--check' in words else 'written'}")
    return 1 if stale and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
