"""The files beside results.json: written once, left alone while nothing changed, written again when something did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_types import Project


def _stamps(folder: Path) -> dict[str, int]:
    kinds = ("verdicts", "samples", "evidence", "losses")
    files = (file for kind in kinds for file in (folder / kind).glob("*"))
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in files}


@pytest.mark.slow
def test_cached_run_leaves_the_evidence_alone_whatever_the_workers(project: Project) -> None:
    """The same run again writes results.json and nothing beside it."""
    project.run("-m", "recipe_x_test", "--apr-report=out", workers=2)
    first = _stamps(project.path / "out")
    assert len(first) == 8  # three kinds before and after, the index, the training's steps
    project.run("-m", "recipe_x_test", "--apr-report=out")
    assert _stamps(project.path / "out") == first


@pytest.mark.slow
def test_missing_stale_and_unindexed_evidence_is_written_again(project: Project) -> None:
    """A file that was deleted, one that the index says was made of something else; then the index itself is torn."""
    project.run("-m", "recipe_x_test", "--apr-report=out")
    out = project.path / "out"
    index = out / "evidence" / "index.json"
    verdicts = sorted((out / "verdicts").iterdir())
    texts = [file.read_bytes() for file in (*verdicts, index)]
    verdicts[0].unlink()
    index.write_text(json.dumps({**json.loads(index.read_text()), verdicts[1].stem: "other"}))
    verdicts[1].write_bytes(b"")
    project.run("-m", "recipe_x_test", "--apr-report=out")
    assert [file.read_bytes() for file in (*verdicts, index)] == texts
    index.write_bytes(b"{torn")
    assert project.run("-m", "recipe_x_test", "--apr-report=out").ret == 0
    assert [file.read_bytes() for file in (*verdicts, index)] == texts
