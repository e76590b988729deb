"""Twelve ways to write a recipe wrong: each is one line that says where, what was got and what is allowed; exit 4."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

GOOD = """\
schema: 1
name: recipe-x-test
title: A test
stages: [import, finetune, eval]
profiles:
  smoke:
    model: smoke
    benchmarks: [smoke]
    finetune:
      dataset: smoke-instruct
      rank: 4
    eval:
      max_tokens: 64
"""


def _swap(old: str, new: str) -> Callable[[Path], object]:
    assert old in GOOD
    return lambda file: file.write_text(GOOD.replace(old, new, 1), encoding="utf-8")


def _unreadable(file: Path) -> None:
    # A folder of that name cannot be read as a file by anybody, root included.
    file.unlink(missing_ok=True)
    file.mkdir()


CASES: list[tuple[str, Callable[[Path], object], str]] = [
    ("typo in a key", _swap("rank: 4", "rnak: 4"), "*:11:7: profiles.smoke.finetune.rnak: unknown key 'rnak' (did you mean 'rank'?)*allowed: *method*"),
    ("unknown stage", _swap("[import, finetune, eval]", "[import, fintune, eval]"), "*:4:18: stages?1?: got 'fintune'; allowed: *finetune*"),
    ("wrong type", _swap("rank: 4", "rank: four"), "*:11:7: profiles.smoke.finetune.rank: got 'four'; allowed: *integer*"),
    ("missing dataset", _swap("smoke-instruct", "no-such-set"), "*:10:7: profiles.smoke.finetune.dataset: *'no-such-set'*allowed: *"),
    ("repeated stage", _swap("[import, finetune, eval]", "[import, finetune, import]"), "*:4:1: stages: stage 'import' comes again*import -> finetune -> import; allowed: each stage once*"),
    ("bad model source", _swap("model: smoke", "model: nowhere/model.bin"), "*:7:5: profiles.smoke.model: *'nowhere/model.bin'*allowed: *"),
    ("bad YAML", _swap("eval]", "eval"), "*:5:*not YAML*allowed: valid YAML*"),
    ("empty", lambda file: file.write_text(""), "*the file is empty; allowed: a mapping*"),
    ("huge", lambda file: file.write_text("#" * (1 << 20) + "\n" + GOOD), "*bytes; allowed: at most 1048576 bytes*"),
    ("unreadable", _unreadable, "*is not a file; allowed: a YAML file*"),
    ("non-UTF-8", lambda file: file.write_bytes(GOOD.encode().replace(b"A test", b"A t\xe9st")), "*:3:11: byte 0xe9 is not UTF-8; allowed: UTF-8 text*"),
    ("duplicate key", _swap("schema: 1", "schema: 1\nschema: 1"), "*:2:1: schema: key 'schema' is given twice; allowed: each key once*"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "line"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_broken_recipe_is_one_line_and_exit_code_4(
    bare_project: pytest.Pytester, make: Callable[[Path], object], line: str
) -> None:
    """File, position, what was got, what is allowed; no traceback."""
    make(bare_project.path / "recipes" / "recipe-x-test.yaml")
    result = bare_project.runpytest_inprocess("-m", "recipe_x", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [text for text in result.errlines if text.strip()]
    assert len(said) == 1, said
    result.stderr.fnmatch_lines([line])


def test_broken_recipe_under_xdist_is_the_same_one_line(bare_project: pytest.Pytester) -> None:
    """The controller says it before any worker starts."""
    _swap("rank: 4", "rnak: 4")(bare_project.path / "recipes" / "recipe-x-test.yaml")
    result = bare_project.runpytest_subprocess("-m", "recipe_x", "-n", "2", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*recipe-x-test.yaml:11:7: *unknown key 'rnak'*"])


def test_unreadable_recipe_of_another_user_is_one_line(bare_project: pytest.Pytester) -> None:
    """Where permissions count (not for root), the reason is the system's own."""
    file = bare_project.path / "recipes" / "recipe-x-test.yaml"
    file.write_text(GOOD)
    file.chmod(0)
    try:
        file.read_text()
        pytest.skip("permissions do not bind this user")
    except PermissionError:
        pass
    result = bare_project.runpytest_inprocess("-m", "recipe_x")
    file.chmod(stat.S_IRUSR)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*cannot be read: Permission denied; allowed: a readable file*"])
