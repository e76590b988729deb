"""What a recipe's monitoring does, from outside."""

from __future__ import annotations

from typing import Any

import pytest
from plugin_types import Project

from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.model.recipe import load_recipe

_ALERTS = """
monitoring:
  metrics: [loss, grad_norm]
  tracking: {experiment: my-experiment, tags: {method: lora}}
  alerts:
"""


def _with_alerts(project: Project, *alerts: str) -> None:
    file = project.path / "recipes" / "recipe-x-test.yaml"
    lines = "".join(f"    - {alert}\n" for alert in alerts)
    file.write_text(file.read_text().partition("\nmonitoring:")[0] + _ALERTS + lines)


def _stage(project: Project, name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(stage for stage in project.results()["stages"] if stage["stage"] == name)
    return found


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_alert_that_stops_ends_the_stage_with_one_line(project: Project, workers: int) -> None:
    """The engine is left at the step that met it, the stage fails, and nothing is kept of it."""
    project.order("losses 2 12.3 1")
    _with_alerts(project, "{condition: loss > 10, action: stop, message: the loss exploded}")
    result = project.run("-m", "recipe_x", "--apr-report=out", workers=workers)
    assert result.ret == 1
    assert _stage(project, "finetune")["reason"] == "alert: loss 12.3 > 10: the loss exploded"
    assert _stage(project, "eval")["outcome"] == "not-reached"
    assert project.calls.count("finetune") == 1
    assert project.calls.count("step") == 2
    project.order("losses 2 1")
    assert project.run("-m", "recipe_x").ret == 0
    assert project.calls.count("finetune") == 2


@pytest.mark.slow
def test_alert_that_warns_lets_the_stage_pass_and_says_so(project: Project) -> None:
    """In the summary and in results.json, from the engine as from the store."""
    project.order("losses 2 12.3 1")
    _with_alerts(project, "{condition: loss > 10, action: warn, message: high}")
    for _ in range(2):
        result = project.run("-m", "recipe_x", "--apr-report=out")
        assert result.ret == 0
        result.stdout.fnmatch_lines(["  warning on finetune by reference: loss 12.3 > 10: high"])
        assert _stage(project, "finetune")["warnings"] == ["loss 12.3 > 10: high"]


@pytest.mark.slow
def test_alert_looks_at_the_recorded_steps_of_a_stage_from_the_store(project: Project) -> None:
    """What was fine when it was computed is stopped by an alert written since; the store keeps it."""
    project.order("losses 2 12.3 1")
    assert project.run("-m", "recipe_x").ret == 0
    _with_alerts(project, "{condition: loss > 10, action: stop}")
    assert project.run("-m", "recipe_x", "--apr-report=out").ret == 1
    assert _stage(project, "finetune")["reason"] == "alert: loss 12.3 > 10"
    _with_alerts(project, "{condition: loss > 20, action: stop}")
    assert project.run("-m", "recipe_x").ret == 0
    assert project.calls.count("finetune") == 1


@pytest.mark.slow
def test_alert_of_one_recipe_does_not_stop_another(project: Project) -> None:
    """The same training, asked for without the alert in the same run, is done."""
    project.order("losses 2 12.3 1")
    first = project.path / "recipes" / "recipe-x-test.yaml"
    (first.parent / "recipe-y-test.yaml").write_text(first.read_text().replace("recipe-x", "recipe-y"))
    _with_alerts(project, "{condition: loss > 10, action: stop}")
    project.run("-m", "recipe_x or recipe_y", "--apr-report=out")
    outcomes = {(s["recipe"], s["stage"]): s["outcome"] for s in project.results()["stages"]}
    assert outcomes[("recipe-x-test", "finetune")] == "failed"
    assert outcomes[("recipe-y-test", "eval")] == "passed"


@pytest.mark.parametrize(("bound", "ret"), [("< 101", 1), ("< 100", 0)])
def test_alert_on_the_score_stops_at_the_end_of_eval(project: Project, bound: str, ret: int) -> None:
    """pass_at_1 is in percent, of the model the recipe made."""
    _with_alerts(project, f"{{condition: pass_at_1 {bound}, action: stop, message: too low}}")
    assert project.run("-m", "recipe_x", "--apr-report=out").ret == ret
    stage = _stage(project, "eval")
    assert stage["figures"]["pass_at_1"] == 100.0
    assert stage["figures"]["model_size_mb"] == pytest.approx(7e-6)
    assert stage["reason"] == ("alert: pass_at_1 100 < 101: too low" if ret else "")


@pytest.mark.slow
def test_profile_may_have_monitoring_of_its_own(project: Project) -> None:
    """In place of the recipe's."""
    project.order("losses 12.3")
    _with_alerts(project, "{condition: loss > 10, action: stop}")
    file = project.path / "recipes" / "recipe-x-test.yaml"
    file.write_text(file.read_text().replace("    eval: {", "    monitoring: {metrics: [loss]}\n    eval: {"))
    assert project.run("-m", "recipe_x").ret == 0


def test_experiment_and_tags_stand_in_the_results(project: Project) -> None:
    """Once a recipe and engine."""
    _with_alerts(project, "{condition: loss > 10, action: warn}")
    project.run("-m", "recipe_x", "--apr-report=out")
    assert project.results()["tracking"] == [
        {"recipe": "recipe-x-test", "engine": "reference", "profile": "smoke", "experiment": "my-experiment",
         "tags": {"method": "lora"}}
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("{condition: los > 10, action: stop}", r"alerts\[0\]\.condition: got 'los'; allowed: loss, "),
        ("{condition: loss > ten, action: stop}", r"alerts\[0\]\.condition: got 'loss > ten'; allowed: a figure, "),
        ("{condition: loss > 10, action: shout}", r"alerts\[0\]\.action: got 'shout'; allowed: stop or warn"),
    ],
    ids=["figure", "bound", "action"],
)
def test_alert_that_can_never_hold_is_refused(project: Project, written: str, told: str) -> None:
    """With the file's line, what was got, and what is allowed."""
    _with_alerts(project, written)
    with pytest.raises(FileFormatError, match=told):
        load_recipe(project.path / "recipes" / "recipe-x-test.yaml")
