"""The reference engine as a program: `python -m apr_leaderboard.engine.reference OP ... -o OUT`.

stdout is JSON lines (see `ops.Reporter`); an error is one line `error: ...` on stderr. Exit codes: 0 done, 2 usage,
3 an input file or value is wrong, 5 refused, 8 failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from apr_leaderboard.engine.reference.backend import add_backend_argument, prepare, start, with_backend_figures
from apr_leaderboard.engine.reference.ops import (
    EXIT_BAD_INPUT,
    EXIT_FAILED,
    EXIT_REFUSED,
    OPS,
    OpModule,
    Reporter,
    load_op,
)
from apr_leaderboard.errors import AprLeaderboardError, EngineError, EngineRefusedError, RequestError

__all__ = ["main", "op_parser"]

_PROGRAM = "python -m apr_leaderboard.engine.reference"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one operation and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    top = argparse.ArgumentParser(prog=_PROGRAM, description="One stage done by the Python ecosystem's libraries.")
    top.add_argument("op", choices=sorted(OPS), metavar="OP", help="one of: " + ", ".join(sorted(OPS)))
    op = top.parse_args(words[:1]).op
    prepare(_backend_of(words[1:]))  # before an operation imports JAX
    module = load_op(op)
    args = op_parser(op, module).parse_args(words[1:])
    reporter = Reporter()
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        start(args.backend)
        reporter.record(with_backend_figures(module.run(args, reporter), args.backend))
    except AprLeaderboardError as error:
        return _explain(error)
    except OSError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    return 0


def op_parser(op: str, module: OpModule) -> argparse.ArgumentParser:
    """The flags of one operation, `-o` among them."""
    parser = argparse.ArgumentParser(prog=f"{_PROGRAM} {op}", description=(module.__doc__ or "").partition("\n")[0])
    module.add_arguments(parser)
    add_backend_argument(parser)
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder to write into")
    return parser


def _backend_of(words: Sequence[str]) -> str:
    """The one flag that is needed before the operation's module, which knows the others, can be imported."""
    parser = argparse.ArgumentParser(prog=_PROGRAM, add_help=False, allow_abbrev=False)
    add_backend_argument(parser)
    backend: str = parser.parse_known_args(words)[0].backend
    return backend


def _explain(error: AprLeaderboardError) -> int:
    text = error.message if isinstance(error, EngineError) else str(error)
    sys.stderr.write("error: " + " ".join(text.split()) + "\n")
    if isinstance(error, EngineRefusedError):
        return EXIT_REFUSED
    return EXIT_BAD_INPUT if isinstance(error, RequestError) else EXIT_FAILED
