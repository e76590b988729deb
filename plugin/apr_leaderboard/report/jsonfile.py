"""results.json and the files beside it."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import Results

__all__ = ["read_baseline", "read_results", "why_unread", "write_results"]

RESULTS = "results.json"


def write_results(folder: Path, results: Results) -> Path:
    """Write `folder`/results.json, whole or not at all. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{RESULTS}.tmp"
    body = results.model_dump(mode="json", by_alias=True)
    draft.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return draft.replace(folder / RESULTS)


def read_baseline(path: Path) -> Results:
    """As `read_results`, for a file that the user named. Raises `RequestError`."""
    try:
        return read_results(path)
    except (OSError, ValidationError) as error:
        raise RequestError(
            f"--apr-baseline: {path}: {why_unread(error)}; accepted: a results.json of schema 1"
        ) from None


def read_results(path: Path) -> Results:
    """A results.json, or the one in the folder given. Raises `OSError` and pydantic's `ValidationError`."""
    file = path / RESULTS if path.is_dir() else path
    return Results.model_validate_json(file.read_bytes())


def why_unread(error: OSError | ValidationError) -> str:
    """What `read_results` raised, in one line: the system's words, or the first key that is not as it should be."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else first["msg"]
