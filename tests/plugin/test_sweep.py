"""`apr-leaderboard sweep`: one command, a run for each way of asking, one table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plugin_types import Project

from apr_leaderboard.cli import main

_CLI = Path(sys.executable).with_name("apr-leaderboard")


def _sweep(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    fixed = ["smoke", "--model", "smoke", "--out", "sw", "--pytest-option=--apr-store=store"]
    fixed += ["--pytest-option=-p", "--pytest-option=no:cacheprovider", "--json"]
    return subprocess.run(
        [str(_CLI), "sweep", *fixed, *words], cwd=project.path, capture_output=True, text=True, timeout=120, check=False
    )


def _rows(run: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(run.stdout)
    return loaded


@pytest.mark.slow
def test_sweep_runs_each_point_once_and_goes_on_where_it_was(project: Project) -> None:
    """Two temperatures; the second time reads reports, and a third with one report gone makes only that one again."""
    words = ["--temperatures", "0,0.8", "--samples", "2"]
    first = _sweep(project, *words)
    assert first.returncode == 0, first.stderr
    found = [(row["temperature"], row["n_samples"], row["n_judged"], row["solved"]) for row in _rows(first)]
    assert found == [(0.0, 1, 16, 0), (0.8, 2, 16, 0)]
    calls = [line for line in project.calls if line.startswith("generate")]
    assert calls == ["generate 16", "generate 32"]
    again = _sweep(project, *words)
    assert again.stderr.count("done before") == 2
    assert again.stdout == first.stdout
    (project.path / "sw" / "standard-t0-n1" / "results.json").unlink()
    third = _sweep(project, *words)
    assert (third.stderr.count("running"), third.stderr.count("done before")) == (1, 1)
    assert third.stdout == first.stdout
    assert [line for line in project.calls if line.startswith("generate")] == calls  # the store had the answers


def test_point_that_fails_is_named_with_its_log_and_the_others_stand(project: Project) -> None:
    """Exit code 1; the table has what there is."""
    project.order("fail generate")
    run = _sweep(project)
    assert run.returncode == 1
    assert "failed: standard-t0-n1: see sw/standard-t0-n1.log" in run.stderr
    assert "will not generate" in (project.path / "sw" / "standard-t0-n1.log").read_text()
    assert _rows(run) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--temperatures", "0,hot"], "--temperatures: got 'hot'; accepted: numbers from 0 to 100"),
        (["--prompts", "nonsense"], "nonsense"),
    ],
    ids=["temperature", "prompt"],
)
def test_sweep_refuses_what_it_cannot_ask(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything runs, in one line."""
    assert main(["sweep", "humaneval", "--model", "m", "--out", str(tmp_path / "o"), *words]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
