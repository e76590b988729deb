"""JSON Lines, as all that is kept is written: UTF-8, keys sorted, nothing escaped that need not be."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

__all__ = ["json_line", "write_lines"]


def json_line(body: object) -> bytes:
    """One line with its end. Half a surrogate pair, which a program's stderr may hold, is kept as it is.

    Such a line is read back by `json.loads` from bytes, not from text.
    """
    return json.dumps(body, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass") + b"\n"


def write_lines(file: Path, bodies: Iterable[object]) -> None:
    """The whole file anew. Raises `OSError`."""
    with file.open("wb") as out:
        out.writelines(map(json_line, bodies))
