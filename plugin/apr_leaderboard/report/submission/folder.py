"""The exact folder that would be uploaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from apr_leaderboard.errors import RequestError
from apr_leaderboard.report.submission.card import card_of
from apr_leaderboard.report.submission.checks import Check
from apr_leaderboard.report.submission.facts import Submission
from apr_leaderboard.source import file_sha256

__all__ = ["MANIFEST", "write_submission"]

MANIFEST: Final = "apr-leaderboard.json"
"""What was done, for programs; its being there tells a folder of ours, which may be written again."""


def write_submission(submission: Submission, model: Path, checks: Sequence[Check], out: Path) -> tuple[str, ...]:
    """Copy the model's files, write the card and the manifest; returns the names, sorted.

    The same submission gives the same bytes. Raises `RequestError` for an `out` that holds something else.
    """
    if out.exists() and any(out.iterdir()):
        if not (out / MANIFEST).is_file():
            raise RequestError(f"{out}: got a folder that holds something else; accepted: a new or empty one")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(model.iterdir()):
        if file.is_file():
            shutil.copyfile(file, out / file.name)
    digests = {file.name: file_sha256(file) for file in sorted(out.iterdir())}
    (out / "README.md").write_text(card_of(submission, checks), encoding="utf-8")
    manifest = {
        "schema": 1,
        "recipe": submission.recipe.model_dump(mode="json", by_alias=True, exclude_defaults=True),
        "profile": submission.profile,
        "engine": submission.engine.model_dump(),
        "stages": [{"stage": one.stage, "digest": one.digest, "figures": one.figures} for one in submission.stages],
        "inputs": [{"kind": one.kind, "name": one.name, "licence": one.licence} for one in submission.inputs],
        "datasets": submission.run.datasets,
        "checks": [{"name": one.name, "outcome": one.outcome, "words": one.words} for one in checks],
        "files": digests,
    }
    (out / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return tuple(sorted(file.name for file in out.iterdir()))
