"""Commands that take their options as one dataclass."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from apr_leaderboard.cli import app
from apr_leaderboard.cli.grouped import grouped


@dataclass(frozen=True)
class _Asked:
    name: Annotated[str, typer.Argument(help="Who.")]
    out: Annotated[str, typer.Option("-o", help="Needed.")]
    times: Annotated[int, typer.Option(min=1, help="How often.")] = 1


@grouped
def _greet(asked: _Asked, loud: Annotated[bool, typer.Option("--loud")] = False) -> None:
    """Greet."""
    text = " ".join([f"{asked.name} to {asked.out}"] * asked.times)
    typer.echo(text.upper() if loud else text)


@pytest.fixture
def greet() -> typer.Typer:
    """A program of one command."""
    made = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    made.command()(_greet)
    return made


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["Ann", "-o", "x"], 0, "Ann to x"),
        (["Ann", "-o", "x", "--times", "2", "--loud"], 0, "ANN TO X ANN TO X"),
        (["Ann"], 2, "Missing option '-o'"),
        (["Ann", "-o", "x", "--times", "0"], 2, "Invalid value for '--times'"),
    ],
    ids=["defaults", "given", "missing", "out of range"],
)
def test_command_with_a_dataclass_takes_its_fields_as_options(
    greet: typer.Typer, words: list[str], code: int, said: str
) -> None:
    """Arguments, defaults and bounds are the fields' own; other parameters stay as they are."""
    result = CliRunner().invoke(greet, words)
    assert result.exit_code == code
    assert said in result.output


def test_command_shown_to_typer_has_every_field_once() -> None:
    """In order, then what stands beside the dataclass."""
    assert list(inspect.signature(_greet).parameters) == [*(field.name for field in fields(_Asked)), "loud"]


def test_no_command_is_written_with_more_than_six_parameters() -> None:
    """The house's bound, on the functions as they stand."""
    counts = {
        command.callback.__name__: len(
            inspect.signature(inspect.unwrap(command.callback), follow_wrapped=False).parameters
        )
        for command in app.registered_commands
        if command.callback is not None
    }
    assert len(counts) > 10
    assert {name: count for name, count in counts.items() if count > 6} == {}
