"""A recipe as pytest sees it, from outside."""

from __future__ import annotations

import json

import pytest
from plugin_types import Project


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_recipe_runs_every_stage_and_problem(project: Project, workers: int) -> None:
    """Stages pass, the base model solves nothing, the trained one all; the same with workers."""
    result = project.run("-m", "recipe_x", "--apr-report=out", workers=workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*19 passed, 16 unsolved*"])
    found = project.results()
    assert [(s["stage"], s["outcome"]) for s in found["stages"]] == [
        ("import", "passed"),
        ("finetune", "passed"),
        ("eval", "passed"),
    ]
    assert [(b["after"], b["pass_at_k"]) for b in found["benchmarks"]] == [
        ("finetune", {"1": 1.0}),
        ("import", {"1": 0.0}),
    ]


def test_second_run_asks_no_engine(project: Project) -> None:
    """Everything is in the store, and says so."""
    project.run("-m", "recipe_x")
    calls = project.calls
    result = project.run("-m", "recipe_x", "--apr-report=out")
    assert result.ret == 0
    assert project.calls == calls
    assert all(stage["cached"] for stage in project.results()["stages"])


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_each_node_is_computed_once(project: Project, workers: int) -> None:
    """However many items ask, on however many workers."""
    project.run("-m", "recipe_x", workers=workers)
    assert sorted(project.calls) == ["finetune", "generate 16", "generate 16", "import", "make-smoke"]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_failed_stage_fails_and_later_ones_are_not_reached(project: Project, workers: int) -> None:
    """The stages after it name the one that failed; the engine is asked once, its own words are shown."""
    project.order("fail finetune")
    result = project.run("-m", "recipe_x", "--apr-report=out", workers=workers)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*my own words*", "*1 failed, 1 passed, 16 unsolved, 17 not reached*"])
    outcomes = {s["stage"]: (s["outcome"], s["reason"]) for s in project.results()["stages"]}
    assert outcomes["finetune"] == ("failed", "reference: will not finetune")
    assert outcomes["eval"] == ("not-reached", "finetune failed")
    assert project.calls.count("finetune") == 1


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_stage_that_did_another_thing_fails_and_later_ones_go_on(project: Project, workers: int) -> None:
    """What was written is no checkpoint of the stage asked for, and yet what the next stages get; also when cached."""
    project.order("other finetune")
    for _ in range(2):
        result = project.run("-m", "recipe_x", "--apr-report=out", workers=workers)
        assert result.ret == 1
        result.stdout.fnmatch_lines(["*not what was asked for:*", "*odd: did it oddly*", "*1 failed, 18 passed*"])
        outcomes = {s["stage"]: s["outcome"] for s in project.results()["stages"]}
        assert outcomes == {"import": "passed", "finetune": "failed", "eval": "passed"}


@pytest.mark.slow
def test_failed_stage_is_tried_again_by_the_next_run(project: Project) -> None:
    """A failure is remembered for its run alone."""
    project.order("fail finetune")
    project.run("-m", "recipe_x")
    project.order()
    assert project.run("-m", "recipe_x").ret == 0


@pytest.mark.slow
def test_killed_generation_goes_on_where_it_was(project: Project) -> None:
    """The process dies by SIGKILL after three answers; the next run asks for the other thirteen only."""
    project.order("die generate 3")
    project.run("-m", "recipe_x")
    assert project.run("-m", "recipe_x").ret == 0
    assert "generate 13" in project.calls


@pytest.mark.slow
def test_flipped_byte_is_found_reported_and_recomputed(project: Project) -> None:
    """The digest is checked on read."""
    project.run("-m", "recipe_x")
    file = next(path for path in (project.path / "store" / "entries").rglob("skill") if path.read_text() == "trained")
    file.chmod(0o644)
    file.write_text("tRained")
    result = project.run("-m", "recipe_x", "--apr-report=out")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*damaged in the store, made anew: finetune*"])
    assert project.calls.count("finetune") == 2


def test_missed_threshold_fails_the_eval_item(project: Project) -> None:
    """One line says what was reached and what was expected."""
    file = project.path / "recipes" / "recipe-x-test.yaml"
    file.write_text(file.read_text().replace("{smoke: 16}", "{smoke: 17}"))
    result = project.run("-m", "recipe_x")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*smoke on smoke after finetune by reference: solved 16 of 16, at least 17 expected*"])


def test_plan_prints_commands_and_runs_nothing(project: Project) -> None:
    """Each stage with its command, size and cache state."""
    result = project.run("-m", "recipe_x", "--apr-plan")
    assert result.ret == 0
    assert project.calls == []
    result.stdout.fnmatch_lines(
        ["recipe-x-test (smoke) on reference", "  make smoke: to do, *", "  import: to do, *", "*fake import -o *",
         "  finetune: to do, *", "  eval: smoke on smoke after finetune*16 answers, to do"]
    )  # fmt: skip
    project.run("-m", "recipe_x")
    project.run("-m", "recipe_x", "--apr-plan").stdout.fnmatch_lines(["  finetune: cached, 7.0 B"])


@pytest.mark.slow
def test_two_engines_stand_side_by_side(project: Project) -> None:
    """One column an engine, items told apart by the engine's name."""
    result = project.run("-m", "recipe_x", "--apr-engine=reference", "--apr-engine=fake", "-v")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*::import[[]fake[]] PASSED*"])
    result.stdout.fnmatch_lines(["recipe-x-test (smoke)*fake*reference*", "  import *passed*passed*"])


def test_wrong_stage_order_warns_with_the_reason(project: Project) -> None:
    """A recipe against the golden order still runs, loudly."""
    file = project.path / "recipes" / "recipe-x-test.yaml"
    body = file.read_text().replace("[import, finetune, eval]", "[import, quantize, finetune, eval]")
    file.write_text(body.replace("    eval:", "    quantize: {scheme: int8}\n    eval:"))
    result = project.run("-m", "recipe_x", "--apr-plan")
    result.stdout.fnmatch_lines(["*quantize stands before finetune; finetune belongs first: training does not work*"])


def test_findings_are_printed_with_their_command(project: Project) -> None:
    """What an engine did oddly is told, with the command that shows it."""
    result = project.run("-m", "recipe_x")
    result.stdout.fnmatch_lines(["*finding on import by reference: odd: did it oddly", "*shown by: fake import"])


@pytest.mark.slow
def test_changed_parameter_recomputes_only_what_hangs_on_it(project: Project) -> None:
    """Another rank: the import stays, the finetuning and its answers are made anew."""
    project.run("-m", "recipe_x")
    before = len(project.calls)
    file = project.path / "recipes" / "recipe-x-test.yaml"
    file.write_text(file.read_text().replace("{dataset: smoke-instruct}", "{dataset: smoke-instruct, rank: 4}"))
    project.run("-m", "recipe_x")
    assert project.calls[before:] == ["finetune", "generate 16"]


@pytest.mark.slow
def test_changed_data_under_an_old_name_is_not_taken_for_the_old(project: Project) -> None:
    """A node is named by the digest of its data, not by the path."""
    data = project.path / "pairs.jsonl"
    file = project.path / "recipes" / "recipe-x-test.yaml"
    file.write_text(file.read_text().replace("{dataset: smoke-instruct}", f"{{dataset: {data}}}"))
    for text in ("one", "two"):
        data.write_text(json.dumps({"instruction": text, "response": text}))
        project.run("-m", "recipe_x")
    assert project.calls.count("finetune") == 2
    assert project.calls.count("import") == 1


@pytest.mark.slow
def test_killed_worker_fails_the_run_and_the_next_goes_on(project: Project) -> None:
    """A worker ended by SIGKILL is an error by its item's name, never a low score; the rest of its work is not lost."""
    project.order("die generate 3")
    result = project.run("-m", "recipe_x", "--apr-report=out", workers=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*worker 'gw*' crashed while running 'recipes/recipe-x-test.yaml::*"])
    assert project.run("-m", "recipe_x", "--apr-report=out", workers=2).ret == 0
    assert all(benchmark["complete"] for benchmark in project.results()["benchmarks"])
    assert "generate 13" in project.calls
