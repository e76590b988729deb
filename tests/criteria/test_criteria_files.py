"""The project's own criteria: all 29, each with a test that can be shown to fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from apr_leaderboard.criteria import saboteur_named
from apr_leaderboard.errors import FileFormatError, RequestError
from apr_leaderboard.model.criterion import load_criteria, load_defects


def marks_of(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Test -> (mark, first argument) of every mark on a test in acceptance/."""
    found = {}
    for file in sorted((root / "acceptance").glob("test_ac_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                calls = [mark for mark in node.decorator_list if isinstance(mark, ast.Call)]
                found[node.name] = [
                    (ast.unparse(one.func).rpartition(".")[2], ast.literal_eval(one.args[0])) for one in calls
                ]
    return found


def test_criteria_of_the_project_are_all_29(project_root: Path) -> None:
    """AC-001 to AC-029, in order."""
    ids = [one.id for one in load_criteria(project_root / "acceptance" / "criteria.yaml").value.criteria]
    assert ids == [f"AC-{number:03d}" for number in range(1, 30)]


def test_criteria_of_the_project_each_have_a_test(project_root: Path) -> None:
    """And no test is marked with another."""
    ids = {one.id for one in load_criteria(project_root / "acceptance" / "criteria.yaml").value.criteria}
    marked = {value for marks in marks_of(project_root).values() for name, value in marks if name == "criterion"}
    assert marked == ids


def test_tests_of_criteria_each_name_a_saboteur_or_say_why_not(project_root: Path) -> None:
    """One of both, and the saboteur is one that there is."""
    for test, marks in marks_of(project_root).items():
        ways = [(name, value) for name, value in marks if name in ("falsified_by", "unfalsifiable")]
        assert len(ways) == 1, test
        if ways[0][0] == "falsified_by":
            saboteur_named(ways[0][1])


def test_saboteur_of_an_unknown_name_is_refused() -> None:
    """With those that are accepted."""
    with pytest.raises(RequestError, match=r"accepted: .*wanda-is-magnitude"):
        saboteur_named("nobody")


def test_defects_of_the_project_explain_only_criteria_that_there_are(project_root: Path) -> None:
    """And each entry of a refusal, too."""
    ids = {one.id for one in load_criteria(project_root / "acceptance" / "criteria.yaml").value.criteria}
    defects = load_defects(project_root / "acceptance" / "known_defects.yaml").value
    assert {id_ for one in defects.defects for id_ in one.criteria} <= ids
    assert {one.criterion for one in defects.refusals} <= ids


def test_criteria_file_with_an_id_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    """Where it stands, and what is allowed."""
    entry = "  - {id: AC-001, claim: c, part: models, bound: b, smoke: required, real: required}\n"
    (tmp_path / "criteria.yaml").write_text("schema: 1\ncriteria:\n" + entry + entry)
    with pytest.raises(FileFormatError, match=r"criteria.yaml:4:.*'AC-001' comes again; allowed: each id once"):
        load_criteria(tmp_path / "criteria.yaml")
