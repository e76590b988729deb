"""A whole run against a program with one known defect: found, shrunk, shown from an empty folder, taken up again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from differ_tools import IMPORTS_TOKENIZERS, write_program

from apr_leaderboard.cli import main
from apr_leaderboard.errors import HarnessError, RequestError
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.proof.differ import OPERATIONS, Axis, Campaign, Operation, Trial, try_case

_LOSES_ONE = "if len(merges) >= 4: vocabulary.pop('ab')"
_OP = "tokenize-import-hf"


@pytest.fixture
def defective(tmp_path: Path) -> Path:
    """It loses a word where there are four merges or more."""
    return write_program(tmp_path / "apr", IMPORTS_TOKENIZERS, _LOSES_ONE)


def _differ(binary: Path, out: Path, *more: str) -> int:
    return main(["differ", "--apr-bin", str(binary), "--ops", _OP, "--out", str(out), "--jobs", "1", *more])


def _campaign(binary: Path, cases: int = 3) -> Campaign:
    identity = EngineIdentity(name="apr", version="9", build="b")
    return Campaign(binary, identity, [OPERATIONS[_OP]], cases, 0)


def _silent(done: int, total: int, operation: str) -> None:
    pass


def test_sound_program_agrees_and_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And leaves a table."""
    sound = write_program(tmp_path / "apr", IMPORTS_TOKENIZERS)
    assert _differ(sound, tmp_path / "out", "--cases", "6") == 0
    shown = capsys.readouterr().out
    assert "0 kinds of difference" in shown
    assert [line.split()[:4] for line in shown.splitlines() if _OP in line] == [[_OP, "6", "6", "0"]]


@pytest.mark.slow
def test_defect_is_found_shrunk_and_shown_from_an_empty_folder(
    defective: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the least number of merges that shows it; `run.sh` tells the defective program from the sound one."""
    out, pages = tmp_path / "out", tmp_path / "pages"
    assert _differ(defective, out, "--cases", "12", "--pages", str(pages)) == 1
    assert "2 kinds of difference" in capsys.readouterr().out
    slug = f"{_OP}-vocabulary-other-value"
    page = (out / slug / "REPORT.md").read_text()
    assert "merges 4, added False, seed 1" in page
    assert "apr tokenize import-hf --input m/tokenizer.json" in page
    assert sorted(file.name for file in (out / slug).iterdir()) == [
        "REPORT.md", "expected.json", "got.txt", "inputs", "run.sh",
    ]  # fmt: skip
    assert f"({slug}.sh)" in (pages / f"{slug}.md").read_text()
    sound = write_program(tmp_path / "sound", IMPORTS_TOKENIZERS)
    for binary, code in ((defective, 1), (sound, 0), (tmp_path / "nowhere", 2)):
        empty = tmp_path / f"empty-{binary.name}"
        empty.mkdir()
        command = ["/bin/sh", str(pages / f"{slug}.sh")]
        done = subprocess.run(command, cwd=empty, env={**os.environ, "APR_BIN": str(binary)}, capture_output=True)
        assert done.returncode == code, done.stderr
        assert list(empty.iterdir()) == []


def test_run_is_taken_up_where_it_was_ended(defective: Path, tmp_path: Path) -> None:
    """No case that the journal holds is tried again; a torn last line is."""
    out = tmp_path / "out"
    first = _campaign(defective)
    assert first.open(out) == 0
    assert not first.run(out, 1, 0.0, _silent)
    assert first.run(out, 1, 5.0, _silent)
    journal = out / "cases.jsonl"
    torn = journal.read_text()[:-20]
    journal.write_text(torn)
    defective.unlink()  # so that a case which is tried again fails
    again = _campaign(defective)
    assert again.open(out) == 2
    assert dict(list(first.seen.items())[:2]) == again.seen
    with pytest.raises(HarnessError):
        again.run(out, 1, 5.0, _silent)


def test_interrupted_run_keeps_what_it_found(
    defective: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C after some cases: the summary and the reproducers of those are written."""
    told = 0

    def interrupt(*_: Any) -> None:
        nonlocal told
        told += 1
        if told == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["apr_leaderboard.cli.differ"], "_tell", interrupt)
    assert _differ(defective, tmp_path / "out", "--cases", "50") == 1
    shown = capsys.readouterr().out
    assert "not all cases were tried" in shown
    assert "| 8 |" in (tmp_path / "out" / "SUMMARY.md").read_text()
    assert list((tmp_path / "out").glob("*/run.sh"))


def test_cases_spread_over_processes_come_to_the_same(defective: Path, tmp_path: Path) -> None:
    """Two at a time or one."""
    alone, together = _campaign(defective, 8), _campaign(defective, 8)
    for campaign, jobs, name in ((alone, 1, "a"), (together, 2, "b")):
        campaign.open(tmp_path / name)
        assert campaign.run(tmp_path / name, jobs, 5.0, _silent)
    assert alone.seen == together.seen


def test_folder_of_another_run_is_refused(defective: Path, tmp_path: Path) -> None:
    """Its cases mean something else."""
    _campaign(defective).open(tmp_path / "out")
    with pytest.raises(RequestError, match="another run"):
        _campaign(defective, cases=4).open(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "reference"], "--engine: got 'reference'; allowed: apr"),
        (["--ops", "fly"], "--ops: got 'fly'; allowed: import-safetensors"),
        (["--apr-bin", "/nowhere/apr"], "--apr-bin: /nowhere/apr is not an executable file"),
        (["--cases", "0"], "--cases"),
    ],
)
def test_wrong_request_is_one_line_and_ends_with_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was got and what is accepted."""
    assert main(["differ", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_list_names_every_operation_and_its_oracle(capsys: pytest.CaptureFixture[str]) -> None:
    """Without an engine."""
    assert main(["differ", "--list"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown and one.states in shown for name, one in OPERATIONS.items())


def test_case_that_cannot_be_built_is_trouble_of_ours(tmp_path: Path) -> None:
    """And not a difference."""

    def broken(values: Any, folder: Path) -> Trial:
        raise KeyError("q_proj")

    operation = Operation("broken-op", "nothing", (Axis("a", (1,)),), broken)
    with pytest.raises(HarnessError, match=r"broken-op \{'a': 1\}: the case cannot be tried: KeyError: 'q_proj'"):
        try_case(tmp_path / "apr", operation, (0,))


def test_program_that_hangs_is_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended when its time is over."""
    slow = write_program(tmp_path / "apr", "import time; time.sleep(60)")
    monkeypatch.setattr("apr_leaderboard.proof.differ.campaign.SECONDS", 0.3)
    assert try_case(slow, OPERATIONS[_OP], (0, 0, 0)).outcome == "crashed"
