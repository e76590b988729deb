"""What is collected when marks are named rather than files."""

from __future__ import annotations

import json

import pytest
from plugin_types import Project

from apr_leaderboard.collect.expression import alternatives, words_of


@pytest.mark.parametrize(
    ("expression", "ways"),
    [
        ("a", [{"a"}]),
        ("a and b", [{"a", "b"}]),
        ("a or b", [{"a"}, {"b"}]),
        ("a and (b or c) and not d", [{"a", "b"}, {"a", "c"}]),
        ("not (a or b)", [set()]),
        ("a or not b", [{"a"}, set()]),
        ("criterion(id='AC-001')", [{"criterion"}]),
        ("", [set()]),
        ("a and", [{"a"}]),
        ("(a or", [{"a"}]),
        ("a-b", [{"a", "b"}]),
    ],
)
def test_alternatives_are_the_ways_to_fit(expression: str, ways: list[set[str]]) -> None:
    """What an item must not have is in none of them."""
    assert alternatives(expression) == ways


def test_words_are_all_marks_named() -> None:
    """Also those that an item must not have."""
    assert words_of("a and not (b or c)") == {"a", "b", "c"}


def _answers(project: Project) -> str:
    (project.path / "a.jsonl").write_text(json.dumps({"task_id": "smoke/0", "completion": "    return 1\n"}))
    return "--apr-completions=a.jsonl"


@pytest.mark.parametrize("expression", ["recipe_x or smoke", "smoke or recipe_x", "(recipe_x) or (smoke and not slow)"])
def test_recipe_or_benchmark_collects_both(project: Project, expression: str) -> None:
    """Neither is left out without a word: 2 stages, twice 16 problems and eval, and 16 problems and their score."""
    (project.path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nmarkers =\n    slow: x\n")
    result = project.run("-m", expression, _answers(project), "--collect-only", "-q")
    result.stdout.fnmatch_lines(["recipes/recipe-x-test.yaml::import", "recipes/recipe-x-test.yaml::eval"])
    lines = [line for line in result.outlines if "smoke.yaml::" in line]
    assert len(lines) == 17
    assert not [line for line in result.outlines if "deselected" in line]


def test_recipe_and_benchmark_collects_the_recipe_alone(project: Project) -> None:
    """Its problems on that benchmark; nobody asks for a model."""
    result = project.run("-m", "recipe_x and smoke", "--collect-only", "-q")
    assert result.ret == 0
    assert len([line for line in result.outlines if "::smoke/" in line]) == 32
    assert not [line for line in result.outlines if "smoke.yaml" in line]


@pytest.mark.slow
def test_recipe_or_a_mark_of_the_projects_own_collects_its_tests_too(project: Project) -> None:
    """A mark that is not ours may be anywhere."""
    (project.path / "pytest.ini").write_text("[pytest]\nmarkers =\n    mine: x\n")
    (project.path / "test_own.py").write_text("import pytest\n@pytest.mark.mine\ndef test_own(): pass\n")
    result = project.run("-m", "recipe_x or mine", "--collect-only", "-q")
    result.stdout.fnmatch_lines(["recipes/recipe-x-test.yaml::import", "*test_own.py::test_own"])
    assert project.run("-m", "recipe_x", "--collect-only", "-q").outlines.count("test_own.py::test_own") == 0


def test_recipe_and_not_a_benchmark_asks_for_no_model(project: Project) -> None:
    """What is not wanted needs nothing."""
    result = project.run("-m", "recipe_x and not humaneval", "--collect-only", "-q")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["recipes/recipe-x-test.yaml::import"])


def test_recipe_or_benchmark_without_a_model_is_one_line(project: Project) -> None:
    """What is missing, and how to give it."""
    result = project.run("-m", "recipe_x or humaneval")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: -m humaneval: got neither a model nor completions; accepted: *"])


@pytest.mark.slow
def test_folder_of_recipes_without_a_model_is_about_the_recipes(project: Project) -> None:
    """Suites stand there too, and nothing is asked; named, or with a model, they are collected or say what is missing."""
    planned = project.run("recipes", "--apr-plan")
    assert planned.ret in (0, 5)
    planned.stdout.fnmatch_lines(["recipe-x-test (smoke) on reference"])
    named = project.run("recipes/suites/smoke.yaml")
    assert named.ret == 4
    named.stderr.fnmatch_lines(["ERROR: smoke: got neither a model nor completions; accepted: *"])
    asked = project.run("recipes", "--apr-model=smoke", "--collect-only", "-q", "--ignore-glob=*leaderboards.yaml")
    assert [line for line in asked.outlines if "smoke.yaml::" in line]


@pytest.mark.slow
def test_answers_without_a_benchmark_are_not_ignored(bare_project: pytest.Pytester) -> None:
    """Whoever forgets -m is told, rather than shown that the project's own tests pass."""
    (bare_project.path / "tests").mkdir()
    (bare_project.path / "tests" / "test_own.py").write_text("def test_own(): pass\n")
    (bare_project.path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\n")
    (bare_project.path / "a.jsonl").write_text("{}\n")
    for option in ("--apr-completions=a.jsonl", "--apr-model=smoke"):
        result = bare_project.runpytest_subprocess("-p", "no:cacheprovider", option)
        assert result.ret == 4
        flag = option.partition("=")[0]
        result.stderr.fnmatch_lines(
            [f"ERROR: {flag}: got no benchmark to ask; accepted: *pytest -m humaneval {flag} ..."]
        )
    assert bare_project.runpytest_subprocess("-p", "no:cacheprovider", "tests", option).ret == 0
