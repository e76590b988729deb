"""The console script `apr-leaderboard`: what is no test.

One module per sub-command, each of which offers an `app` that is added to the table below. A wrong request ends with
one line and exit code 2, trouble on our side with one line and exit code 3; 1 says that what was looked at is not in
order, as each command explains.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from apr_leaderboard.cli import allure, models, store
from apr_leaderboard.cli.compare import compare
from apr_leaderboard.cli.contracts import contracts
from apr_leaderboard.cli.differ import differ
from apr_leaderboard.cli.doctor import doctor
from apr_leaderboard.cli.explain import explain
from apr_leaderboard.cli.failures import failures
from apr_leaderboard.cli.history import history
from apr_leaderboard.cli.leaderboard import leaderboard
from apr_leaderboard.cli.oracle import oracle
from apr_leaderboard.cli.pairs import pairs
from apr_leaderboard.cli.plots import plots
from apr_leaderboard.cli.prompts import prompts
from apr_leaderboard.cli.submit import submit
from apr_leaderboard.cli.sweep import sweep
from apr_leaderboard.errors import AprLeaderboardError, RequestError

__all__ = ["app", "main"]

# Typer may bring a click of its own, so its root of usage errors is reached by a name that every version exports.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]

# No markup: some help holds brackets of its own.
app = typer.Typer(name="apr-leaderboard", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
for _name, _sub in (("allure", allure.app), ("models", models.app), ("store", store.app)):
    app.add_typer(_sub, name=_name)
app.command()(compare)
app.command()(contracts)
app.command()(submit)
app.command()(differ)
app.command()(doctor)
app.command()(explain)
app.command()(prompts)
app.command()(leaderboard)
app.command()(plots)
app.command()(history)
app.command()(oracle)
app.command()(failures)
app.command()(pairs)
app.command()(sweep)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context, show_version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False
) -> None:
    """Everything about the leaderboard suite that is no test; the tests themselves are run with pytest."""
    if show_version:
        typer.echo(f"apr-leaderboard {version('apr-leaderboard')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr, without a traceback."""
    try:
        code = app(args=list(argv) if argv is not None else None, prog_name="apr-leaderboard", standalone_mode=False)
    except _UsageError as error:
        return _fail(f"{_text(error)} (see {_command_path(error)} --help)", 2)
    except RequestError as error:
        return _fail(str(error), 2)
    except AprLeaderboardError as error:
        return _fail(str(error), 3)
    except OSError as error:  # a full disk, a folder that may not be written: nothing of this package's making
        return _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error), 3)
    return code if isinstance(code, int) else 0


def _command_path(error: Exception) -> str:
    """The command that a usage error is about, as far as it was understood."""
    return str(getattr(getattr(error, "ctx", None), "command_path", None) or "apr-leaderboard")


def _text(error: Exception) -> str:
    """A usage error's words, which click keeps apart from `str`."""
    format_message = getattr(error, "format_message", None)
    return str(format_message() if format_message is not None else error)


def _fail(message: str, code: int) -> int:
    print(f"apr-leaderboard: {message}", file=sys.stderr)
    return code
