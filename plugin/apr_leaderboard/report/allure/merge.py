"""Shards of a run, each with a folder of Allure's results, made one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apr_leaderboard.errors import RequestError
from apr_leaderboard.report.allure.folder import ENVIRONMENT, RECIPE_MARK, write_settings
from apr_leaderboard.report.allure.story import Status

__all__ = ["Merged", "merge_results"]

_WORST = (Status.BROKEN, Status.FAILED, Status.SKIPPED, Status.PASSED)


@dataclass(frozen=True)
class Merged:
    """What came together: results kept, older results of the same test left out, attachments copied."""

    results: int
    replaced: int
    attachments: int


def merge_results(folders: Sequence[Path], out: Path) -> Merged:
    """Join the results of shards in the empty or new folder `out`.

    Of several results of one test the last to start is kept; a recipe whose stages lie in several shards is put
    together again. Raises `RequestError` for a folder without results and for an `out` that is not empty.
    """
    if out.exists() and any(out.iterdir()):
        raise RequestError(f"{out}: got a folder that holds files; accepted: a new or empty one")
    found = {folder: sorted(folder.glob("*-result.json")) for folder in folders}
    for folder, files in found.items():
        if not files:
            raise RequestError(f"{folder}: got no Allure results; accepted: a folder that --alluredir wrote")
    out.mkdir(parents=True, exist_ok=True)
    bodies = [json.loads(file.read_text(encoding="utf-8")) for files in found.values() for file in files]
    kept = _latest(bodies)
    copied = 0
    for body in kept:
        (out / f"{body['uuid']}-result.json").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")
        copied += _copy_attachments(body, folders, out)
    for folder in folders:
        for file in folder.glob("*-container.json"):
            shutil.copyfile(file, out / file.name)
    _merge_environment(folders, out)
    write_settings(out)
    return Merged(len(kept), len(bodies) - len(kept), copied)


def _latest(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    by_test: dict[str, dict[str, Any]] = {}
    for body in sorted(bodies, key=lambda body: (body.get("start", 0), body["uuid"])):
        key = body.get("historyId") or body["uuid"]
        earlier = by_test.get(key)
        whole = any(label == {"name": "tag", "value": RECIPE_MARK} for label in body.get("labels", ()))
        by_test[key] = _joined(earlier, body) if whole and earlier is not None else body
    return list(by_test.values())


def _joined(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """A recipe as a whole, of two parts; a stage in both is taken from the later."""
    steps = {_stage_of(step): step for step in (*earlier["steps"], *later["steps"])}
    ordered = sorted(steps.values(), key=lambda step: step["start"])
    worst = next(status.value for status in _WORST if any(step["status"] == status.value for step in ordered))
    done = sum(step["status"] == Status.PASSED.value for step in ordered)
    source = next((part for part in (later, earlier) if part["status"] == worst), later)
    recipe = later["fullName"].partition("::")[0]
    return {
        **source,
        "name": f"{recipe}: {done} of {len(ordered)} stages passed",
        "status": worst,
        "steps": ordered,
        "start": min(earlier["start"], later["start"]),
        "stop": max(earlier["stop"], later["stop"]),
    }


def _stage_of(step: dict[str, Any]) -> str:
    return str(step["name"]).partition(":")[0]


def _attachments(part: dict[str, Any]) -> Iterator[str]:
    for attachment in part.get("attachments", ()):
        yield attachment["source"]
    for step in part.get("steps", ()):
        yield from _attachments(step)


def _copy_attachments(body: dict[str, Any], folders: Sequence[Path], out: Path) -> int:
    copied = 0
    for name in _attachments(body):
        source = next((folder / name for folder in folders if (folder / name).is_file()), None)
        if source is not None:
            shutil.copyfile(source, out / name)
            copied += 1
    return copied


def _merge_environment(folders: Sequence[Path], out: Path) -> None:
    """One value where all shards agree, else each."""
    values: dict[str, list[str]] = {}
    for folder in folders:
        file = folder / ENVIRONMENT
        for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
            key, value = _split(line)
            if value not in values.setdefault(key, []):
                values[key].append(value)
    text = "".join(f"{key}={'; '.join(found)}\n" for key, found in values.items())
    (out / ENVIRONMENT).write_text(text, encoding="utf-8")


def _split(line: str) -> tuple[str, str]:
    """Key and value of a line, at the first equals sign that is not escaped."""
    at = next((n for n, letter in enumerate(line) if letter == "=" and line[n - 1 : n] != "\\"), len(line))
    return line[:at], line[at + 1 :]
