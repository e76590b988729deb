"""examples/: the third-party plugin works as its README says, and is as short as it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugin_types import Project


@pytest.fixture
def parrot(project: Project, project_root: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with the plugin on its path, and a model that knows one word."""
    monkeypatch.setenv("PYTHONPATH", str(project_root / "examples" / "parrot"))
    polly = project.path / "polly"
    polly.mkdir()
    (polly / "config.json").write_text("{}")
    (polly / "words.json").write_text(json.dumps({"hello": 'def hello(name):\n    return f"Hello, {name}!"'}))
    return project


def test_example_engine_is_asked_the_example_benchmark(parrot: Project) -> None:
    """One of two greetings is known."""
    result = parrot.run("-p", "apr_parrot", "-m", "greetings", "--apr-engine", "parrot", "--apr-model=polly")
    result.stdout.fnmatch_lines(["greetings *parrot *1/2 *pass@1 50.0%*", "*1 unsolved*"])
    assert result.ret == 0


def test_example_is_under_sixty_lines(project_root: Path) -> None:
    """An engine and a benchmark cost no more."""
    file = project_root / "examples" / "parrot" / "apr_parrot.py"
    assert len(file.read_text().splitlines()) < 60


def test_suite_folder_of_another_name_is_one_line(project: Project) -> None:
    """What was got, what is accepted."""
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + "\ndef pytest_apr_suite_folders():\n    return ['nowhere']\n")
    result = project.run("-m", "smoke", "--apr-model=smoke")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: pytest_apr_suite_folders: got nowhere; accepted: a folder*suites*"])
