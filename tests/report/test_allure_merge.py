"""Shards of Allure results made one folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.cli import main
from apr_leaderboard.errors import RequestError
from apr_leaderboard.report.allure import merge_results


def _shard(folder: Path, *bodies: dict[str, Any], environment: str = "python=3.11\n") -> Path:
    folder.mkdir()
    for body in bodies:
        (folder / f"{body['uuid']}-result.json").write_text(json.dumps(body))
        for attachment in body.get("attachments", ()):
            (folder / attachment["source"]).write_text("evidence")
    (folder / "environment.properties").write_text(environment)
    return folder


def _test(uuid: str, history: str, start: int, **more: Any) -> dict[str, Any]:
    return {"uuid": uuid, "historyId": history, "start": start, "status": "passed", **more}


def _recipe(uuid: str, *steps: tuple[str, str, int]) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "historyId": "r",
        "fullName": "recipe-x::whole",
        "start": steps[0][2],
        "stop": steps[-1][2] + 1,
        "status": steps[-1][1],
        "labels": [{"name": "tag", "value": "recipe-as-a-whole"}],
        "steps": [{"name": name, "status": status, "start": at, "stop": at + 1} for name, status, at in steps],
    }


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    return {body["uuid"]: body for body in (json.loads(file.read_text()) for file in folder.glob("*-result.json"))}


def test_different_tests_are_all_kept_with_their_attachments(tmp_path: Path) -> None:
    """Two shards, two tests, one piece of evidence."""
    one = _shard(tmp_path / "1", _test("a", "x", 1, attachments=[{"name": "answer", "source": "a-attachment.txt"}]))
    two = _shard(tmp_path / "2", _test("b", "y", 1))
    merged = merge_results([one, two], tmp_path / "out")
    assert (merged.results, merged.replaced, merged.attachments) == (2, 0, 1)
    assert set(_read(tmp_path / "out")) == {"a", "b"}
    assert (tmp_path / "out" / "a-attachment.txt").read_text() == "evidence"


def test_last_run_of_a_test_is_kept(tmp_path: Path) -> None:
    """Whatever the order of the folders, and without the evidence of what is left out."""
    old = _shard(tmp_path / "1", _test("a", "x", 1, attachments=[{"name": "answer", "source": "a-attachment.txt"}]))
    new = _shard(tmp_path / "2", _test("b", "x", 2))
    for number, shards in enumerate(([old, new], [new, old])):
        merged = merge_results(shards, tmp_path / f"out{number}")
        assert (merged.results, merged.replaced, merged.attachments) == (1, 1, 0)
        assert set(_read(tmp_path / f"out{number}")) == {"b"}


def test_recipe_in_two_shards_is_put_together(tmp_path: Path) -> None:
    """Stages of both, in order; the worst of them is the recipe's; a stage in both is the later one's."""
    one = _shard(tmp_path / "1", _recipe("a", ("import", "passed", 1), ("finetune: last_loss 1", "skipped", 2)))
    two = _shard(tmp_path / "2", _recipe("b", ("finetune: last_loss 2", "passed", 5), ("eval", "failed", 6)))
    merge_results([two, one], tmp_path / "out")
    [body] = _read(tmp_path / "out").values()
    assert [(step["name"], step["status"]) for step in body["steps"]] == [
        ("import", "passed"),
        ("finetune: last_loss 2", "passed"),
        ("eval", "failed"),
    ]
    assert (body["status"], body["name"]) == ("failed", "recipe-x: 2 of 3 stages passed")


def test_environment_shows_where_shards_differ(tmp_path: Path) -> None:
    """One value where they agree, both where they do not."""
    one = _shard(tmp_path / "1", _test("a", "x", 1), environment="python=3.11\nmodel\\ m\\=1=d1\n")
    two = _shard(tmp_path / "2", _test("b", "y", 1), environment="python=3.12\nmodel\\ m\\=1=d1\n")
    merge_results([one, two], tmp_path / "out")
    text = (tmp_path / "out" / "environment.properties").read_text()
    assert text.splitlines() == ["python=3.11; 3.12", "model\\ m\\=1=d1"]


def test_folder_without_results_is_one_line(tmp_path: Path) -> None:
    """What was got and what is accepted."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="got no Allure results; accepted: a folder that --alluredir wrote"):
        merge_results([tmp_path / "empty"], tmp_path / "out")


def test_command_refuses_a_folder_that_holds_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line."""
    shard = _shard(tmp_path / "1", _test("a", "x", 1))
    assert main(["allure", "merge", "--out", str(shard), str(shard)]) == 2
    assert "got a folder that holds files; accepted: a new or empty one" in capsys.readouterr().err


def test_command_says_what_it_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And how to go on."""
    shard = _shard(tmp_path / "1", _test("a", "x", 1))
    assert main(["allure", "merge", "--out", str(tmp_path / "out"), str(shard)]) == 0
    assert "1 results, 0 attachments" in capsys.readouterr().out
