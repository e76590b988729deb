"""Training data as JSON lines of texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from apr_leaderboard.errors import FileFormatError

__all__ = ["read_rows"]


def read_rows(path: Path, keys: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and the texts under `keys`; more keys are allowed and left alone.

    Raises FileFormatError, naming the line, for a file that holds no row and for a text that is missing or empty.
    """
    allowed = f"JSONL of {', '.join(keys[:-1])} and {keys[-1]}"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise FileFormatError(path, "", "no such file", allowed=allowed) from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise FileFormatError(path, "", str(error), allowed=allowed) from None
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not filled:
        raise FileFormatError(path, "", "holds no pair", allowed=allowed)
    for number, line in filled:
        yield number, _row(path, number, line, keys)


def _row(path: Path, number: int, line: str, keys: Sequence[str]) -> dict[str, str]:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise FileFormatError(path, "", f"not JSON: {error}", line=number, column=1) from None
    if not isinstance(row, dict):
        raise FileFormatError(path, "", f"got a {type(row).__name__}", allowed="an object", line=number, column=1)
    for key in keys:
        value = row.get(key)
        if not isinstance(value, str) or not value:
            raise FileFormatError(path, key, f"got {value!r}", allowed="a non-empty string", line=number, column=1)
    return {key: row[key] for key in keys}
