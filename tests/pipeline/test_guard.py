"""A stage's guard: what it shows, warns of, and stops at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_leaderboard.engine import Progress
from apr_leaderboard.errors import AlertError, HarnessError
from apr_leaderboard.model.monitoring import Alert, Monitoring
from apr_leaderboard.pipeline import Guard, judge_alerts
from apr_leaderboard.store.failure import decode_error, encode_error

_STOP = Alert(condition="loss > 10", action="stop", message="the loss exploded")
_WARN = Alert(condition="grad_norm >= 2", action="warn")


def _progress(**figures: float) -> Progress:
    return Progress("finetune", 1, 9, "steps", "its own note", figures)


def test_guard_raises_before_the_step_is_shown() -> None:
    """The watch ends the engine, so what comes after the step is of no use."""
    seen: list[Progress] = []
    watch = Guard((_STOP,)).over(seen.append, "fake")
    watch(_progress(loss=9.0))
    with pytest.raises(AlertError, match=r"^alert: loss 12\.3 > 10: the loss exploded$"):
        watch(_progress(loss=12.3))
    assert len(seen) == 1


def test_guard_shows_the_figures_asked_for_and_the_speed() -> None:
    """In the order of the recipe; a figure that is not there is left out."""
    seen: list[Progress] = []
    metrics = Monitoring(metrics=("loss", "grad_norm", "kd_loss", "pass_at_1")).metrics
    Guard(metrics=metrics).over(seen.append, "fake")(_progress(gradient_norm=0.5, loss=1.25, tokens_per_second=812.4))
    assert seen[0].note == "loss 1.25, gradient_norm 0.5, 812 tokens/s"


def test_guard_without_figures_leaves_the_note_alone() -> None:
    """An engine's own words are better than none."""
    seen: list[Progress] = []
    Guard(metrics=("loss",)).over(seen.append, "fake")(_progress())
    assert seen[0].note == "its own note"


def test_review_tells_each_warning_once(tmp_path: Path) -> None:
    """With the first step that met it; the twin's name is the same figure."""
    steps = [{"step": 1, "grad_norm": 1.0}, {"step": 2, "grad_norm": 2.5}, {"step": 3, "gradient_norm": 9.0}]
    (tmp_path / "losses.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    assert Guard((_WARN,)).review(tmp_path, "fake") == ("gradient_norm 2.5 >= 2",)


def test_review_of_a_torn_record_is_the_harness_own_trouble(tmp_path: Path) -> None:
    """It says nothing about the candidate."""
    (tmp_path / "losses.jsonl").write_text('{"loss": 1}\n{"loss"')
    with pytest.raises(HarnessError, match=r"losses\.jsonl:2"):
        Guard((_STOP,)).review(tmp_path, "fake")


def test_alert_error_outlives_the_store_s_memory_of_failures() -> None:
    """Another worker is told the same line."""
    with pytest.raises(AlertError) as caught:
        judge_alerts([_STOP], {"loss": 11.0}, "fake")
    again = decode_error(encode_error(caught.value))
    assert isinstance(again, AlertError)
    assert str(again) == str(caught.value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(-1000, 1000), st.sampled_from([">", "<"]))
def test_alert_holds_exactly_where_its_condition_does(value: float, bound: int, sign: str) -> None:
    """And never on another figure."""
    alert = Alert(condition=f"loss {sign} {bound}", action="warn")
    assert alert.holds({"loss": value}) == (value > bound if sign == ">" else value < bound)
    assert not alert.holds({"kd_loss": value})
