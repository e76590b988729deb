"""Results shared between machines through `--apr-store URL`, from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugin_types import Project


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """The local half of a shared store lies in the user's cache folder: here, one made for the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_second_machine_finds_everything_in_the_shared_store(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A machine with an empty cache of its own asks no engine."""
    shared = tmp_path_factory.mktemp("shared")
    words = ("-m", "recipe_x", f"--apr-store=file://{shared}")
    for machine in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp(machine)))
        result = project.run(*words, workers=workers)
        assert result.ret == 0, result.stdout.str()
        if machine == "one":
            calls = project.calls
    assert calls
    assert project.calls == calls


def test_unknown_scheme_is_one_line_and_exit_code_4(project: Project) -> None:
    """A wrong request, told before anything runs."""
    result = project.run("-m", "recipe_x", "--apr-store=nosuch://bucket/path")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: store nosuch://bucket/path: *; accepted: a folder, or a URL *"])


def test_shared_folder_that_cannot_be_reached_does_not_lose_the_work(project: Project, tmp_path: Path) -> None:
    """The results stay in the machine's own store, and the summary says they were not shared."""
    (tmp_path / "file").touch()
    result = project.run("-m", "recipe_x", f"--apr-store=file://{tmp_path}/file/below")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*made, but not shared: store file://*"])
