"""Rows of a dataset: JSONL, plain or gzipped, one object a line."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.errors import FileFormatError

__all__ = ["Row", "read_rows", "write_rows"]

_QUESTION: Final = ("instruction", "prompt", "text", "question", "question_content", "input")
_ANSWER: Final = ("response", "chosen", "output", "completion", "answer", "canonical_solution", "code", "solution")


@dataclass(frozen=True)
class Row:
    """One sample: the line as it stands in the file, without its end, and what it says."""

    line: str
    values: Mapping[str, Any]

    @cached_property
    def question(self) -> str:
        """What is asked: the first of instruction, prompt, text and the like; empty where there is none."""
        return _first(self.values, _QUESTION)

    @cached_property
    def answer(self) -> str:
        """What is to be answered: the first of response, chosen, output and the like; empty where there is none."""
        return _first(self.values, _ANSWER)

    @property
    def text(self) -> str:
        """Both, a line end between."""
        return f"{self.question}\n{self.answer}"

    @cached_property
    def content(self) -> str:
        """The values in an order of their own: equal for rows that differ in layout only."""
        return json.dumps(self.values, sort_keys=True, ensure_ascii=False)


def read_rows(path: Path) -> list[Row]:
    """Every row of a file. Raises FileFormatError naming the line that is no JSON object, or has nothing to ask."""
    rows = []
    for number, line in _lines(path):
        try:
            values = json.loads(line)
        except ValueError as error:
            raise FileFormatError(path, "", f"not JSON: {error}", line=number, column=1) from None
        if not isinstance(values, dict):
            problem = f"got a {type(values).__name__}"
            raise FileFormatError(path, "", problem, allowed="an object", line=number, column=1)
        row = Row(line, values)
        if not row.question:
            problem = f"got the keys {', '.join(map(str, values)) or 'none'}"
            raise FileFormatError(path, "", problem, allowed=f"text in one of {_words()}", line=number, column=1)
        rows.append(row)
    if not rows:
        raise FileFormatError(path, "", "holds no row", allowed="JSONL, one object a line")
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """The rows' lines as they were read."""
    path.write_text("".join(row.line + "\n" for row in rows), encoding="utf-8")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except FileNotFoundError:
        raise FileFormatError(path, "", "no such file", allowed="JSONL, one object a line") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise FileFormatError(path, "", str(error), allowed="JSONL in UTF-8, plain or gzipped") from None
    # Not splitlines: JSON strings may hold the other line ends that it splits at.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


def _first(values: Mapping[str, Any], keys: Iterable[str]) -> str:
    return next((value for key in keys if isinstance(value := values.get(key), str) and value.strip()), "")


def _words() -> str:
    return ", ".join(_QUESTION)
