"""Running a plan of measurements: what one of its runs comes to, and the exit code."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_RUN = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu" / "run.py"


def _do(folder: Path, *runs: dict[str, Any], apr: str = "apr") -> subprocess.CompletedProcess[str]:
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"runs": runs}), encoding="utf-8")
    words = [sys.executable, str(_RUN), str(plan), "--folder", str(folder), "-o", str(folder / "out"), "--apr", apr]
    return subprocess.run([*words, "--seconds", "30"], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 3", 1), ("kill -9 $$", 1)], ids=["done", "failed", "killed"]
)
def test_plan_whose_program_fails_exits_1(tmp_path: Path, script: str, code: int) -> None:
    """A run whose program did not end well broke, whatever it wrote; other files in the folder are no runs."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "other.json").write_text('{"error": "of something else"}', encoding="utf-8")
    run = {"name": "one", "engine": "command", "argv": ["/bin/sh", "-c", script]}
    assert _do(tmp_path, run).returncode == code


def test_plan_goes_on_after_a_run_that_breaks(tmp_path: Path) -> None:
    """It is written down, and the next one is done."""
    bad = {"name": "bad", "engine": "command", "argv": ["/none"]}
    good = {"name": "good", "engine": "command", "argv": ["/bin/sh", "-c", "echo said"]}
    assert _do(tmp_path, bad, good).returncode == 1
    assert "No such file" in json.loads((tmp_path / "out" / "bad.json").read_text(encoding="utf-8"))["error"]
    assert json.loads((tmp_path / "out" / "good.json").read_text(encoding="utf-8"))["stdout_end"] == "said\n"


def test_batch_answer_with_a_line_separator_in_it_is_one_answer(tmp_path: Path) -> None:
    """A model may write any character."""
    said = json.dumps({"task_id": "0", "text": "a\u2028b", "tokens_generated": 3}, ensure_ascii=False)
    (tmp_path / "said.jsonl").write_text(said + "\n", encoding="utf-8")
    apr = tmp_path / "apr"
    apr.write_text(f"#!/bin/sh\ncat {tmp_path}/said.jsonl\n", encoding="utf-8")
    apr.chmod(0o755)
    prompt = {"task_id": "T/0", "ids": [1], "messages": [{"role": "user", "content": "hi"}]}
    (tmp_path / "prompts.jsonl").write_text(json.dumps(prompt) + "\n", encoding="utf-8")
    run = {"name": "one", "engine": "apr_batch", "model": "plan.json", "prompts": "prompts.jsonl"}
    assert _do(tmp_path, {**run, "decode": {"max_tokens": 8}}, apr=str(apr)).returncode == 0
    with gzip.open(tmp_path / "out" / "one.jsonl.gz", "rt", encoding="utf-8", newline="\n") as lines:
        assert [json.loads(line)["answer"] for line in lines] == ["a\u2028b"]
