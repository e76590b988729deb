"""Asking in parts what a machine with a GPU did not finish, and joining the answers."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

_TOOLS = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu"


@pytest.fixture(scope="module")
def parts() -> Any:
    """The module, found as it is beside its neighbours."""
    sys.path.insert(0, str(_TOOLS))
    try:
        import parts as module  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(_TOOLS))
    return module


def _prompts(tasks: int, samples: int) -> list[dict[str, Any]]:
    return [{"task_id": f"T/{task}", "sample": sample} for task in range(tasks) for sample in range(samples)]


def _answer(prompt: dict[str, Any], n_tokens: int = 10) -> dict[str, Any]:
    return {**prompt, "answer": f"x = {prompt['sample']}  # ≤", "n_tokens": n_tokens}


def _write(path: Path, lines: Iterable[dict[str, Any]]) -> Path:
    path.write_bytes(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    return path


def _run(*words: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(_TOOLS / "parts.py"), *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


@settings(deadline=None)
@given(tasks=st.integers(1, 6), samples=st.integers(1, 4), lanes=st.integers(1, 5), data=st.data())
def test_split_deals_each_open_prompt_to_one_lane(
    parts: Any, tasks: int, samples: int, lanes: int, data: st.DataObject
) -> None:
    """Nothing is asked twice, nothing left out, nothing asked again."""
    prompts = _prompts(tasks, samples)
    done = data.draw(st.sets(st.sampled_from([parts.key_of(prompt) for prompt in prompts])))
    answered = {parts.key_of(prompt): _answer(prompt) for prompt in prompts if parts.key_of(prompt) in done}
    dealt = parts.split(prompts, answered, lanes)
    assert len(dealt) == lanes
    keys = [parts.key_of(prompt) for lane in dealt for prompt in lane]
    assert sorted(keys) == sorted(parts.key_of(prompt) for prompt in prompts if parts.key_of(prompt) not in done)


def test_split_asks_for_all_first_samples_before_any_second(parts: Any) -> None:
    """A run cut short leaves whole rounds: within a lane samples only go up."""
    for lane in parts.split(_prompts(5, 3), {}, 2):
        assert [prompt["sample"] for prompt in lane] == sorted(prompt["sample"] for prompt in lane)


def test_split_weighs_lanes_by_the_tokens_of_earlier_answers(parts: Any) -> None:
    """A task that answers at length has a lane nearly for itself."""
    prompts = _prompts(5, 2)
    answered = {parts.key_of(one): _answer(one, 400 if one["task_id"] == "T/0" else 100) for one in prompts[::2]}
    long, short = parts.split(prompts, answered, 2)
    assert [prompt["task_id"] for prompt in long] == ["T/0"]
    assert len(short) == 4


def test_joined_parts_are_the_bytes_of_one_run(tmp_path: Path) -> None:
    """However the prompts were dealt, the answers are one file."""
    prompts = _prompts(7, 3)
    asked = _write(tmp_path / "prompts.jsonl.gz", prompts)
    first = _write(tmp_path / "first.jsonl.gz", map(_answer, prompts[4:9]))
    said = _run("split", asked, "--answered", first, "--lanes", 3, "-o", tmp_path / "left").stdout
    assert said.startswith("16 of 21 prompts have no answer; in 3 lanes")
    lanes = sorted((tmp_path / "left").iterdir())
    assert [path.name for path in lanes] == [f"prompts-{lane}.jsonl.gz" for lane in range(3)]
    rest = []
    for lane in lanes:
        with gzip.open(lane, "rt") as lines:
            rest.append(_write(tmp_path / f"answers-{lane.name}", [_answer(json.loads(line)) for line in lines]))
    assert _run("join", asked, first, *rest, "-o", tmp_path / "joined.jsonl.gz").returncode == 0
    whole = _write(tmp_path / "whole.jsonl.gz", map(_answer, reversed(prompts)))
    assert _run("join", asked, whole, "-o", tmp_path / "one.jsonl.gz").returncode == 0
    assert (tmp_path / "joined.jsonl.gz").read_bytes() == (tmp_path / "one.jsonl.gz").read_bytes()


def test_whole_rounds_leave_out_a_sample_that_some_task_lacks(tmp_path: Path) -> None:
    """Two samples of one task and one of another make one round."""
    prompts = _prompts(2, 2)
    asked = _write(tmp_path / "prompts.jsonl.gz", prompts)
    some = _write(tmp_path / "some.jsonl.gz", map(_answer, prompts[:3]))
    done = _run("join", asked, some, "-o", tmp_path / "out.jsonl.gz", "--whole-rounds")
    assert "2 of 4 answers" in done.stdout
    assert "without T/0, sample 1, and 1 more" in done.stdout
    with gzip.open(tmp_path / "out.jsonl.gz", "rt") as lines:
        assert [json.loads(line)["sample"] for line in lines] == [0, 0]


def test_line_that_a_killed_run_did_not_finish_is_no_answer(tmp_path: Path) -> None:
    """What stands before it counts."""
    prompts = _prompts(2, 1)
    asked = _write(tmp_path / "prompts.jsonl.gz", prompts)
    part = tmp_path / "run.part.jsonl"
    part.write_text(json.dumps(_answer(prompts[0])) + "\n" + json.dumps(_answer(prompts[1]))[:20], encoding="utf-8")
    assert "1 of 2 answers" in _run("join", asked, part, "-o", tmp_path / "out.jsonl.gz").stdout


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([{"task_id": "T/0", "sample": 0}] * 2, "an answer to T/0, sample 0, which "),
        ([{"task_id": "T/9", "sample": 0}], "an answer to T/9, sample 0, which is not among the prompts"),
    ],
)
def test_answers_that_do_not_belong_are_refused(tmp_path: Path, answers: list[dict[str, Any]], said: str) -> None:
    """One line, nothing written."""
    asked = _write(tmp_path / "prompts.jsonl.gz", _prompts(1, 1))
    done = _run("join", asked, _write(tmp_path / "answers.jsonl.gz", answers), "-o", tmp_path / "out.jsonl.gz")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr
    assert not (tmp_path / "out.jsonl.gz").exists()
