"""What an engine will not do stands in the plan, and beside a stage that ran all the same."""

from __future__ import annotations

from plugin_types import Project


def _with_quantize(project: Project) -> None:
    file = project.path / "recipes" / "recipe-x-test.yaml"
    body = file.read_text(encoding="utf-8").replace("[import, finetune, eval]", "[import, finetune, quantize, eval]")
    file.write_text(body.replace("    eval:", "    quantize: {scheme: int8}\n    eval:"), encoding="utf-8")


def test_plan_tells_what_the_engine_refuses(project: Project) -> None:
    """Engine and version, the stage, why; below the stage's command."""
    _with_quantize(project)
    result = project.run("-m", "recipe_x", "--apr-plan")
    assert result.ret == 0
    assert project.calls == []
    result.stdout.fnmatch_lines(
        ["  quantize: to do, *", "*fake quantize -o *", "    reference 1 refuses: quantize: it has no such operation"]
    )


def test_run_warns_of_what_the_engine_was_known_to_refuse(project: Project) -> None:
    """The engine is asked all the same; the stage that passed carries the line."""
    _with_quantize(project)
    result = project.run("-m", "recipe_x")
    assert "quantize" in project.calls
    result.stdout.fnmatch_lines(
        ["  warning on quantize by reference: reference 1 refuses: quantize: it has no such operation"]
    )
