"""Folders that options name and that are none, from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_types import Project


def _answers(project: Project) -> str:
    (project.path / "a.jsonl").write_text(json.dumps({"task_id": "smoke/0", "completion": "    return 1\n"}))
    return "--apr-completions=a.jsonl"


@pytest.mark.parametrize("option", ["--apr-report", "--apr-store"])
def test_file_in_place_of_a_folder_is_refused_before_anything_runs(project: Project, option: str) -> None:
    """What was got and what is accepted; a report's place may also be below a file."""
    (project.path / "file").write_text("")
    result = project.run("-m", "smoke", _answers(project), f"{option}=file")
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: {option}: got 'file'; accepted: a folder, or a *"])
    if option == "--apr-report":
        result = project.run("-m", "smoke", _answers(project), f"{option}=file/below")
        assert result.ret == 4
        result.stderr.fnmatch_lines(
            [f"ERROR: {option}: got 'file/below'; accepted: *{project.path / 'file'} is a file)"]
        )


def test_report_that_cannot_be_written_is_one_line_at_the_end(project: Project) -> None:
    """The scores are told all the same, and exit code 3 says that the run is not documented."""
    blocked = project.path / "out" / "results.json"
    blocked.mkdir(parents=True)
    result = project.run("-m", "smoke", _answers(project), "--apr-report=out")
    assert result.ret == 3
    result.stdout.fnmatch_lines(["smoke *0/1 *pass@1 0.0%*", "REPORT NOT WRITTEN: *results.json*; run again, *"])
    result.stdout.no_fnmatch_line("*Traceback*")
    assert Path(project.path / "store").is_dir()
