"""A collection of benchmarks as pytest sees it, from outside."""

from __future__ import annotations

import shutil

import pytest
from plugin_types import Project

_SUITES = """\
schema: 1
name: both
title: Two
benchmarks: {smoke: {max_tokens: 64}, other: {prompt_profile: few-shot}}
"""


@pytest.fixture
def with_collection(project: Project) -> Project:
    """The project with a second benchmark of the same problems, and a collection of the two."""
    suites = project.path / "recipes" / "suites"
    real = suites.resolve()
    suites.unlink()
    shutil.copytree(real, suites)
    (suites / "leaderboards.yaml").unlink()
    (suites / "other.yaml").write_text((real / "smoke.yaml").read_text().replace("name: smoke", "name: other"))
    (suites / "both.yaml").write_text(_SUITES)
    return project


def test_collection_asks_each_benchmark_with_its_settings(with_collection: Project) -> None:
    """Items are told apart by the benchmark's name; each is judged as a whole."""
    result = with_collection.run("-m", "both", "--apr-model=smoke", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*both.yaml::smoke::score PASSED*", "*both.yaml::other::score PASSED*"])
    result.stdout.fnmatch_lines(["other *few-shot@1 *0/16 *", "smoke *standard@1 *0/16 *"])
    assert with_collection.calls.count("generate 16") == 2


def test_collection_with_one_file_of_completions_is_refused(with_collection: Project) -> None:
    """One file holds the answers to one benchmark."""
    file = with_collection.path / "samples.jsonl"
    file.write_text('{"task_id": "smoke/0", "completion": "pass"}\n')
    result = with_collection.run("-m", "both", f"--apr-completions={file}")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*both: got one file of completions; accepted: smoke, other"])
