"""Whose answers a file of completions holds, and how each ended: `--apr-completions-of`, and a line's `finish`."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from plugin_types import Project

_CLI = Path(sys.executable).with_name("apr-leaderboard")
_MODEL = "qwen2.5-coder-0.5b-instruct-q4_k_m"
_FILE = "--apr-completions=samples.jsonl"


def _write(project: Project, rows: Sequence[dict[str, Any]], *finish: str) -> str:
    """Every problem answered rightly, the first lines with a reason for their end; returns the file's digest."""
    lines = [{"task_id": row["task_id"], "completion": row["canonical_solution"]} for row in rows]
    for line, reason in zip(lines, finish, strict=False):
        line["finish"] = reason
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (project.path / "samples.jsonl").write_bytes(text)
    return hashlib.sha256(text).hexdigest()


def _lines(folder: Path) -> list[dict[str, Any]]:
    """Of the one packed file in a folder of the report."""
    [file] = folder.glob("*.gz")
    return [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_stated_run_stands_under_engine_and_model_with_the_file_as_evidence(
    project: Project, rows: list[dict[str, Any]], workers: int
) -> None:
    """The label is told as somebody's word, on the last lines and in results.json; the digest is the file's."""
    digest = _write(project, rows)
    said = (f"--apr-completions-of=apr:{_MODEL}", "--apr-temperature=0", "--apr-max-tokens=64")
    result = project.run("-m", "smoke", _FILE, *said, "--apr-report=out", workers=workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines([f"smoke on {_MODEL} by apr: as stated of samples.jsonl (sha256 {digest[:16]}...)"])
    [found] = project.results()["benchmarks"]
    assert (found["engine"], found["model"]) == ("apr", _MODEL)
    assert found["decoding"] == {"temperature": 0.0, "max_tokens": 64}
    assert found["completions"] == {
        "file": "samples.jsonl",
        "sha256": digest,
        "stated": ["engine", "model", "decoding"],
    }
    assert project.results()["run"]["models"] == {"samples.jsonl": digest}
    assert [file.name for file in (project.path / "out" / "verdicts").iterdir()] == [
        f"smoke-{_MODEL}-apr-standard@1.jsonl"
    ]


def test_file_nobody_says_anything_of_keeps_its_name_and_no_decoding(
    project: Project, rows: list[dict[str, Any]]
) -> None:
    """Without the option a temperature says nothing of answers that are there."""
    digest = _write(project, rows)
    project.run("-m", "smoke", _FILE, "--apr-temperature=0.8", "--apr-report=out")
    [found] = project.results()["benchmarks"]
    assert (found["engine"], found["model"], found["decoding"]) == ("file", "samples.jsonl", {})
    assert found["completions"] == {"file": "samples.jsonl", "sha256": digest, "stated": []}


@pytest.mark.slow
def test_default_temperature_is_not_taken_for_the_users_word(project: Project, rows: list[dict[str, Any]]) -> None:
    """Only what was typed, or stands in the ini file, is stated of the decoding."""
    _write(project, rows)
    who = "--apr-completions-of=apr:m"
    project.run("-m", "smoke", _FILE, who, "--apr-report=out")
    assert project.results()["benchmarks"][0]["completions"]["stated"] == ["engine", "model"]
    (project.path / "tox.ini").write_text("[pytest]\napr_temperature = 0.8\n")
    project.run("-m", "smoke", _FILE, who, "--apr-report=ini")
    assert project.results("ini")["benchmarks"][0]["decoding"] == {"temperature": 0.8}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--apr-completions-of=apr:m"], "*--apr-completions-of: got no completions; accepted: with --apr-completions FILE"),
        ([_FILE, "--apr-completions-of=apr"], "*--apr-completions-of: got 'apr'; accepted: ENGINE:MODEL, such as apr:*"),
    ],
    ids=["alone", "no model"],
)  # fmt: skip
def test_wrong_label_is_one_line_and_exit_code_4(
    project: Project, rows: list[dict[str, Any]], words: list[str], line: str
) -> None:
    """What was got, and what is accepted."""
    _write(project, rows)
    result = project.run("-m", "smoke", *words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_line_that_ended_by_context_is_that_verdict_and_other_reasons_are_kept(
    project: Project, rows: list[dict[str, Any]], workers: int
) -> None:
    """Where the prompt did not fit no program runs, even a right one; `length` decides nothing; other words are left."""
    _write(project, rows, "context", "length", "eos_token")
    project.run("-m", "smoke", _FILE, "--apr-report=out", workers=workers)
    [found] = project.results()["benchmarks"]
    assert [one["verdict"] for one in found["problems"]] == ["context"] + ["passed"] * 15
    samples, evidence = (_lines(project.path / "out" / kind) for kind in ("samples", "evidence"))
    assert [line.get("finish") for line in samples] == ["context", "length"] + [None] * 14
    assert ["cpu" in line for line in evidence] == [False] + [True] * 15


@pytest.mark.slow
def test_samples_of_a_run_are_scored_to_the_same_and_explained(project: Project, rows: list[dict[str, Any]]) -> None:
    """What a report keeps of answers is enough to judge them again; `explain` runs nothing that was not run."""
    _write(project, rows, "context", "length")
    project.run("-m", "smoke", _FILE, "--apr-report=out")
    [samples] = (project.path / "out" / "samples").iterdir()
    project.run("-m", "smoke", f"--apr-completions={samples}", "--apr-report=again")
    assert project.results("again")["benchmarks"][0]["problems"] == project.results()["benchmarks"][0]["problems"]
    shown = project.pytester.run(_CLI, "explain", "out", rows[0]["task_id"], "--rerun")
    assert shown.ret == 0
    shown.stdout.fnmatch_lines(["verdict: context *", "the answer ended by: context"])
    shown.stdout.no_fnmatch_line("=== run again")
