"""What one operation of the reference program looks like, and how it reports to whoever started it.

An operation is a module with two functions::

    def add_arguments(parser: argparse.ArgumentParser) -> None: ...
    def run(args: argparse.Namespace, report: Reporter) -> OpResult: ...

`args.out` is the folder to write into (it exists and is empty of the operation's results); `args.model` and the like
are the operation's own. `run` raises errors of `apr_leaderboard.errors`; the program turns them into exit codes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any, Final, Protocol

from apr_leaderboard.model.generation import Completion
from apr_leaderboard.model.record import CheckpointFormat

__all__ = ["EXIT_BAD_INPUT", "EXIT_FAILED", "EXIT_REFUSED", "OPS", "OpModule", "OpResult", "Reporter", "load_op"]

EXIT_BAD_INPUT: Final = 3
EXIT_REFUSED: Final = 5
EXIT_FAILED: Final = 8

_PACKAGE: Final = "apr_leaderboard.engine.reference"
OPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "import": f"{_PACKAGE}.jobs_import",
        "prep-data": f"{_PACKAGE}.jobs_prep_data",
        "finetune": f"{_PACKAGE}.jobs_finetune",
        "distill": f"{_PACKAGE}.jobs_distill",
        "align": f"{_PACKAGE}.jobs_align",
        "merge": f"{_PACKAGE}.jobs_merge",
        "prune": f"{_PACKAGE}.jobs_prune",
        "quantize": f"{_PACKAGE}.jobs_quantize",
        "generate": f"{_PACKAGE}.jobs_generate",
        "perplexity": f"{_PACKAGE}.jobs_perplexity",
        "check": f"{_PACKAGE}.jobs_check",
        "inspect": f"{_PACKAGE}.jobs_inspect",
        "bench": f"{_PACKAGE}.jobs_bench",
        "compile": f"{_PACKAGE}.jobs_compile",
        "export": f"{_PACKAGE}.jobs_export",
        "make-smoke": f"{_PACKAGE}.jobs_smoke",
    }
)
"""Operation -> the module that does it. Modules are imported only when their operation is asked for."""


@dataclass(frozen=True)
class OpResult:
    """What an operation left behind: `checkpoint` is relative to the out folder."""

    checkpoint: str | None = None
    format: CheckpointFormat | None = None
    figures: Mapping[str, float | int | str | bool] = field(default_factory=dict)


class OpModule(Protocol):
    """An operation's module."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the operation's flags."""
        ...

    def run(self, args: argparse.Namespace, report: Reporter) -> OpResult:
        """Do it."""
        ...


class Reporter:
    """Writes one JSON document a line: progress, completions as they come, and at the end the record."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout

    def progress(
        self,
        what: str,
        done: float,
        total: float | None,
        unit: str,
        note: str = "",
        figures: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        """How far the operation is; the fields of `apr_leaderboard.engine.protocol.Progress`. Figures are finite."""
        told: dict[str, Any] = {"what": what, "done": done, "total": total, "unit": unit, "note": note}
        self._line({"progress": {**told, "figures": dict(figures)} if figures else told})

    def completion(self, completion: Completion) -> None:
        """One answer, as soon as it is there."""
        self._line({"completion": completion.model_dump(mode="json")})

    def record(self, result: OpResult) -> None:
        """The end of an operation that worked."""
        self._line(
            {
                "record": {
                    "checkpoint": result.checkpoint,
                    "format": result.format,
                    "figures": dict(result.figures),
                }
            }
        )

    def _line(self, document: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
        self._stream.flush()


def load_op(name: str) -> OpModule:
    """The module of an operation; KeyError for an unknown one."""
    module: Any = importlib.import_module(OPS[name])
    return module  # type: ignore[no-any-return]
