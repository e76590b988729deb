"""What one sees while a run goes on: on a terminal, and in progress.jsonl."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plugin_types import Project

from apr_leaderboard.model.results import EvaluationInfo
from apr_leaderboard.pipeline import Post
from apr_leaderboard.report import so_far

_INFO = EvaluationInfo(name="b", model="m", engine="e", profile="p", n_problems=9, n_samples=1)


def _post(done: float, total: float | None, took: float) -> Post:
    return Post("answer b", "answering", done, total, "prompts", time=100 + took, since=100, begun=0, note="9 tokens/s")


@given(
    done=st.floats(1, 100), total=st.floats(100, 1000), took=st.floats(0.1, 1e4)
)  # pace is even, so the rest takes as long a prompt
def test_time_left_is_the_rest_at_the_pace_so_far(done: float, total: float, took: float) -> None:
    """(total - done) at took / done each."""
    left = _post(done, total, took).seconds_left
    assert left == pytest.approx((total - done) * took / done)


@pytest.mark.parametrize(
    ("post", "line"),
    [
        (_post(10, 40, 60), "answer b: answering 10/40 prompts, 9 tokens/s, 3 min left"),
        (_post(10, 1000, 60), "answer b: answering 10/1000 prompts, 9 tokens/s, 1 h 39 min left"),
        (_post(0, 40, 60), "answer b: answering 0/40 prompts, 9 tokens/s"),
        (_post(5, None, 60), "answer b: answering 5 prompts, 9 tokens/s"),
        (_post(40, 40, 60), "answer b: answering 40/40 prompts, 9 tokens/s"),
    ],
    ids=["minutes", "hours", "no pace yet", "no end known", "done"],
)
def test_post_says_what_how_far_and_how_long(post: Post, line: str) -> None:
    """No time is left where none can be told."""
    assert post.line() == line


@given(st.lists(st.integers(0, 4).map(lambda c: (4, c)), max_size=30))
def test_standing_holds_its_rate_in_its_interval(counts: list[tuple[int, int]]) -> None:
    """The rate is the mean over problems, within 0..1 and its interval; of nothing, nothing is said."""
    found = so_far(_INFO, counts)
    if not counts:
        assert found is None
        return
    assert found is not None
    assert found.pass_at_1 == pytest.approx(sum(c for _, c in counts) / (4 * len(counts)))
    assert 0 <= found.low <= found.pass_at_1 <= found.high <= 1
    assert found.low < found.high


def _streamed(project: Project) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (project.path / "out" / "progress.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_terminal_sees_work_with_time_left_and_pass_at_1_under_xdist(project: Project) -> None:
    """A line with prompts, tokens and time left; the stream says the same and how it ended."""
    project.order("slow generate 0.25")
    ours, theirs = pty.openpty()
    words = ["-m", "recipe_x_test", "-p", "no:cacheprovider", "--apr-store=store", "--apr-report=out", "-n", "2"]
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *words], cwd=project.path, stdout=subprocess.DEVNULL, stderr=theirs
    ) as run:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 4096)
            except OSError:  # how a pseudo-terminal says that the other side is closed
                break
        assert run.wait(timeout=60) == 0
    os.close(ours)
    assert b"prompts, 50.0 tokens/s" in shown
    assert b"s left" in shown
    streamed = _streamed(project)
    work = [line for line in streamed if line["kind"] == "work"]
    assert {(line["what"], line["total"]) for line in work} >= {("answering", 16)}
    assert any(line["seconds_left"] for line in work)
    scores = {line["evaluation"]: line for line in streamed if line["kind"] == "score"}
    assert sorted((one["judged"], one["pass_at_1"]) for one in scores.values()) == [(16, 0.0), (16, 1.0)]
    assert streamed[-1]["kind"] == "end"


@pytest.mark.slow
def test_no_terminal_sees_nothing_and_a_quick_run_leaves_the_stream(project: Project) -> None:
    """Standard error stays empty; what an earlier run streamed is kept by one that had nothing to do."""
    project.order("slow generate 0.2")
    first = project.run("-m", "recipe_x_test", "--apr-report=out")
    assert first.stderr.str() == ""
    text = (project.path / "out" / "progress.jsonl").read_bytes()
    assert b"tokens/s" in text
    assert project.run("-m", "recipe_x_test", "--apr-report=out").ret == 0
    assert (project.path / "out" / "progress.jsonl").read_bytes() == text
