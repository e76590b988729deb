"""`--alluredir` from outside: what each item's result says, with and without workers, in shards and over runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from plugin_types import Project

Body = dict[str, Any]


@pytest.fixture
def completions(project: Project, project_root: Path) -> str:
    """Twelve right answers, four wrong ones; the option that names the file."""
    lines = _lines(project_root)
    (project.path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "--apr-completions=samples.jsonl"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    """The folder of one run over the same completions, one of them long, for all tests that only read."""
    folder = tmp_path_factory.mktemp("scored")
    (folder / "recipes").mkdir()
    for name in ("catalogue.yaml", "suites", "data"):
        (folder / "recipes" / name).symlink_to(project_root / "recipes" / name)
    lines = _lines(project_root)
    lines[14]["completion"] += "#" * 100_000
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = "-p no:cacheprovider -p no:xdist -m smoke --apr-completions=samples.jsonl --apr-store=store"
    words = [sys.executable, "-m", "pytest", *command.split(), "--alluredir=ar", "--apr-report=out"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


def _lines(root: Path) -> list[Body]:
    rows = [json.loads(line) for line in (root / "recipes" / "suites" / "smoke.jsonl").read_text().splitlines()]
    return [
        {"task_id": row["task_id"], "completion": row["canonical_solution"] if n < 12 else "    return 'no'\n"}
        for n, row in enumerate(rows)
    ]


def _results(folder: Path) -> list[Body]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("*-result.json"))]


def _labels(body: Body) -> dict[str, str]:
    return {label["name"]: label["value"] for label in body["labels"]}


def _by_name(folder: Path) -> dict[str, Body]:
    return {body["fullName"]: body for body in _results(folder)}


def test_benchmark_counts_equal_results_json(scored: Path) -> None:
    """One result a problem, solved as passed and unsolved as failed, and one for the score with its interval."""
    [found] = json.loads((scored / "out" / "results.json").read_text())["benchmarks"]
    bodies = _results(scored / "ar")
    problems = [body for body in bodies if not body["fullName"].endswith("::score")]
    assert {body["fullName"].partition("::")[2]: body["status"] for body in problems} == {
        one["task_id"]: "passed" if one["c"] else "failed" for one in found["problems"]
    }
    [score] = [body for body in bodies if body not in problems]
    assert score["name"] == "score: smoke pass@1 75.0% [50.5%, 89.8%] (12 of 16 solved)"


def test_problem_is_told_by_benchmark_with_parameters(scored: Path) -> None:
    """Suites, behaviours, and which parameters make up its history."""
    body = _by_name(scored / "ar")["smoke::smoke/15"]
    labels = _labels(body)
    assert [labels[name] for name in ("parentSuite", "suite", "subSuite")] == [
        "benchmarks",
        "smoke",
        "samples.jsonl by file",
    ]
    assert (labels["epic"], labels["feature"], labels["category"]) == ("Benchmarks", "smoke", "candidate")
    kept = {one["name"]: one["value"] for one in body["parameters"] if not one.get("excluded")}
    assert kept == {"engine": "file", "model": "samples.jsonl", "profile": "standard@1"}
    assert body["statusDetails"]["message"] == "candidate: unsolved, wrong"


def test_unsolved_alone_has_attachments(scored: Path) -> None:
    """Answer, program, error and the command that shows it again; nothing of what passed."""
    bodies = _by_name(scored / "ar")
    assert "attachments" not in bodies["smoke::smoke/0"]
    shown = {one["name"]: scored / "ar" / one["source"] for one in bodies["smoke::smoke/15"]["attachments"]}
    assert list(shown) == ["answer", "program", "stderr", "reproduce"]
    assert "return 'no'" in shown["answer"].read_text()
    assert shown["program"].read_text().startswith("# smoke/15, sample 0: wrong.")
    again = shown["reproduce"].read_text()
    assert again.endswith("-k smoke/15\n")
    assert "alluredir" not in again


def test_reproducer_runs_that_problem_again(scored: Path) -> None:
    """What is attached is a command line that works."""
    body = _by_name(scored / "ar")["smoke::smoke/15"]
    source = next(one["source"] for one in body["attachments"] if one["name"] == "reproduce")
    words = [sys.executable, "-m", *(scored / "ar" / source).read_text().replace("out", "again").split()]
    ended = subprocess.run(words, cwd=scored, capture_output=True, text=True, timeout=120)
    assert "16 deselected, 1 unsolved" in ended.stdout


def test_attachment_is_capped(scored: Path) -> None:
    """A long answer keeps its beginning and its end."""
    body = _by_name(scored / "ar")["smoke::smoke/14"]
    text = (scored / "ar" / body["attachments"][0]["source"]).read_text()
    assert text.startswith("    return 'no'")
    assert text.endswith("###")
    assert len(text) < 17_000


def test_recipe_is_a_suite_and_its_stages_are_steps(project: Project) -> None:
    """A result for each stage with its figures in the title, and one for the recipe with the stages as steps."""
    project.run("-m", "recipe_x", "--alluredir=ar", "--apr-report=out")
    bodies = _by_name(project.path / "ar")
    whole = bodies["recipe-x-test::whole"]
    assert whole["name"] == "recipe-x-test: 3 of 3 stages passed"
    assert [step["name"].partition(":")[0] for step in whole["steps"]] == ["import", "finetune", "eval"]
    assert {step["status"] for step in whole["steps"]} == {"passed"}
    labels = _labels(bodies["recipe-x-test::eval"])
    assert (labels["parentSuite"], labels["suite"], labels["epic"]) == ("recipes", "recipe-x-test", "Recipes")
    assert "pass@1 100.0%" in bodies["recipe-x-test::eval"]["name"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_failed_stage_is_the_engines_and_what_follows_not_run(project: Project, workers: int) -> None:
    """Categories: engine for the stage that failed, not-run for what waited for it."""
    project.order("fail finetune")
    project.run("-m", "recipe_x", "--alluredir=ar", workers=workers)
    bodies = _by_name(project.path / "ar")
    failed = bodies["recipe-x-test::finetune"]
    assert (failed["status"], _labels(failed)["category"]) == ("failed", "engine")
    assert failed["statusDetails"]["message"].startswith("engine: ")
    last = bodies["recipe-x-test::eval"]
    assert (last["status"], last["statusDetails"]["message"]) == ("skipped", "not-run: finetune failed")
    assert bodies["recipe-x-test::whole"]["status"] == "failed"


def test_broken_harness_is_broken(project: Project, completions: str) -> None:
    """A self-check that fails is our trouble, not the candidate's."""
    suites = project.path / "recipes" / "suites"
    real = suites.resolve()
    suites.unlink()
    suites.mkdir()
    (suites / "smoke.yaml").write_text((real / "smoke.yaml").read_text())
    rows = [json.loads(line) for line in (real / "smoke.jsonl").read_text().splitlines()]
    rows[0]["canonical_solution"] = "    return None\n"
    (suites / "smoke.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    project.run("-m", "smoke", completions, "--alluredir=ar")
    body = _by_name(project.path / "ar")["smoke::smoke/0"]
    assert (body["status"], _labels(body)["category"]) == ("broken", "harness")


@pytest.mark.slow
def test_history_ids_are_the_same_in_another_run(project: Project, completions: str, scored: Path) -> None:
    """With other workers, in another folder and store; and each test of a run has its own."""
    project.run("-m", "smoke", completions, "--alluredir=ar", workers=2)
    first, second = (
        {body["fullName"]: body["historyId"] for body in _results(folder / "ar")} for folder in (project.path, scored)
    )
    assert first == second
    assert len(set(first.values())) == 17


def test_environment_and_categories_stand_beside_the_results(scored: Path) -> None:
    """The tool, the machine, digests; five categories whose patterns match the messages written."""
    environment = (scored / "ar" / "environment.properties").read_text()
    assert "apr-leaderboard=0.1.0" in environment
    assert "dataset\\ smoke=" in environment
    names = [one["name"].partition(":")[0] for one in json.loads((scored / "ar/categories.json").read_text())]
    assert names == ["Candidate", "Engine", "Harness", "Blocked", "Not run"]
    config = json.loads((scored / "ar" / "allurerc.json").read_text())
    assert [one["name"].partition(":")[0] for one in config["categories"]] == names


def test_criterion_mark_is_a_behaviour(project: Project) -> None:
    """A plain test marked `criterion` is told by its claim; its failure is the candidate's."""
    project.pytester.makepyfile(
        test_claims='''
        import pytest
        @pytest.mark.criterion("AC-008", part="Weights")
        def test_claim():
            """Pruning costs little."""
            assert 0.9 < 0.05
        '''
    )
    project.pytester.makeini("[pytest]\nmarkers = criterion(id): a claim\n")
    project.run("test_claims.py", "--alluredir=ar")
    [body] = _results(project.path / "ar")
    assert body["name"] == "AC-008: Pruning costs little"
    labels = _labels(body)
    assert (labels["epic"], labels["feature"]) == ("Weights", "AC-008 Pruning costs little")
    assert (body["status"], labels["category"]) == ("failed", "candidate")


def test_other_tests_are_left_alone(project: Project) -> None:
    """What is none of ours keeps what allure-pytest says of it."""
    project.pytester.makepyfile(test_other="def test_it(): pass\n")
    project.run("test_other.py", "--alluredir=ar")
    [body] = _results(project.path / "ar")
    assert (body["name"], _labels(body)["suite"]) == ("test_it", "test_other")
    assert not (project.path / "ar" / "categories.json").exists()
