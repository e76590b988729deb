"""Prompts in and answers out: the files that travel between the suite and a machine with a GPU."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["cut_at_stop", "read_lines", "split_by_room", "write_answers"]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Every JSON object of a .jsonl or .jsonl.gz file."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def split_by_room(prompts: Iterable[dict[str, Any]], positions: int, max_tokens: int) -> tuple[list[Any], list[Any]]:
    """Prompts that fit a context of `positions` together with their answer, and those that do not."""
    fitting: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for prompt in prompts:
        (fitting if len(prompt["ids"]) + max_tokens <= positions else others).append(prompt)
    return fitting, others


def cut_at_stop(text: str, stops: Iterable[str]) -> tuple[str, bool]:
    """The text before the earliest stop string, and whether there was one."""
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def write_answers(path: Path, order: Iterable[dict[str, Any]], answers: Iterable[dict[str, Any]]) -> int:
    """Answers in the prompts' order, gzipped without a time so that equal answers are equal files; returns how many.

    A line has task_id, sample, answer (what `--apr-completions` scores), finish, n_tokens, tokens where known.
    """
    found = {(one["task_id"], one.get("sample", 0)): one for one in answers}
    keys = [(prompt["task_id"], prompt.get("sample", 0)) for prompt in order]
    lines = [json.dumps(found[key], ensure_ascii=False) for key in keys if key in found]
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write("".join(line + "\n" for line in lines).encode())
    return len(lines)
