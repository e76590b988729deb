"""Scoring a file of completions, from outside: `pytest -m smoke --apr-completions FILE`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from plugin_types import Project

_CLI = Path(sys.executable).with_name("apr-leaderboard")


def _write(project: Project, lines: Iterable[dict[str, Any]]) -> str:
    (project.path / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return "--apr-completions=samples.jsonl"


def _right(row: dict[str, Any]) -> dict[str, Any]:
    return {"task_id": row["task_id"], "completion": row["canonical_solution"]}


def _wrong(row: dict[str, Any]) -> dict[str, Any]:
    return {"task_id": row["task_id"], "completion": "    return 'no'\n"}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_file_of_right_and_wrong_answers_is_counted(project: Project, rows: list[dict[str, Any]], workers: int) -> None:
    """Twelve right, four wrong: 75 %, four unsolved, exit 0; no engine is asked."""
    file = _write(project, [*map(_right, rows[:12]), *map(_wrong, rows[12:])])
    result = project.run("-m", "smoke", file, "--apr-report=out", workers=workers)
    assert result.ret == 0
    assert project.calls == []
    result.stdout.fnmatch_lines(["smoke *12/16*pass@1 75.0% [[]50.5%, 89.8%[]]", "*13 passed, 4 unsolved*"])
    [found] = project.results()["benchmarks"]
    assert found["pass_at_k"] == {"1": 0.75}
    assert found["interval"]["1"]["method"] == "wilson"
    assert [p["verdict"] for p in found["problems"]] == ["passed"] * 12 + ["wrong"] * 4


@pytest.mark.slow
def test_verdict_files_are_byte_equal_whatever_the_workers(project: Project, rows: list[dict[str, Any]]) -> None:
    """With no worker and with two."""
    lines = [make(row) for row in rows for make in (_right, _wrong, _right)]
    texts = []
    for number, workers in enumerate((0, 2)):
        file = _write(project, lines)
        project.run("-m", "smoke", file, f"--apr-report=out{number}", f"--apr-store=s{number}", workers=workers)
        [verdicts] = (project.path / f"out{number}" / "verdicts").iterdir()
        texts.append(verdicts.read_bytes())
    assert texts[0] == texts[1]
    assert texts[0].count(b'"passed"') == 32


def test_many_samples_give_pass_at_k_with_bootstrap_interval(project: Project, rows: list[dict[str, Any]]) -> None:
    """One of two right, but none of the last: pass@1 is half of pass@2; a k above n is not measured."""
    file = _write(project, [make(row) for row in rows for make in (_wrong if row is rows[-1] else _right, _wrong)])
    result = project.run("-m", "smoke", file, "--apr-report=out", "--apr-k=1,2,5")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "smoke on samples.jsonl: 1.9 distinct answers a problem, of up to 2",
            "smoke on samples.jsonl: pass@5 not measured: not every problem has more than 2 samples",
        ]
    )
    [found] = project.results()["benchmarks"]
    assert found["pass_at_k"] == {"1": 15 / 32, "2": 15 / 16}
    assert found["interval"]["2"]["method"].startswith("bootstrap over problems")
    assert {(p["n"], p["c"], p["distinct"]) for p in found["problems"]} == {(2, 1, 2), (2, 0, 1)}


def test_missing_task_is_named_and_the_run_incomplete(project: Project, rows: list[dict[str, Any]]) -> None:
    """Fifteen judged of sixteen: the rate is over fifteen, and says so."""
    result = project.run("-m", "smoke", _write(project, map(_right, rows[1:])), "--apr-report=out")
    result.stdout.fnmatch_lines(
        [
            "INCOMPLETE: smoke on samples.jsonl: 15 of 16 problems judged",
            "smoke: no completion for smoke/0",
            "*16 passed, 1 missing*",
        ]
    )
    [found] = project.results()["benchmarks"]
    assert (found["n_judged"], found["complete"], found["pass_at_k"]) == (15, False, {"1": 1.0})


def test_unknown_task_is_one_line_and_exit_code_4(project: Project) -> None:
    """File, line, what was got, what is allowed."""
    file = _write(project, [{"task_id": "smoke/99", "completion": "x"}])
    result = project.run("-m", "smoke", file)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: *samples.jsonl:1:1: task_id: unknown task 'smoke/99'*allowed: the benchmark's 16 tasks*"]
    )


@pytest.mark.parametrize(("bound", "code"), [("0.75", 0), ("0.76", 1)])
def test_min_pass_is_the_gate(project: Project, rows: list[dict[str, Any]], bound: str, code: int) -> None:
    """Reached exactly is enough; a hair above fails with one line."""
    file = _write(project, [*map(_right, rows[:12]), *map(_wrong, rows[12:])])
    result = project.run("-m", "smoke", file, f"--apr-min-pass={bound}")
    assert result.ret == code
    if code:
        result.stdout.fnmatch_lines(["smoke on samples.jsonl by file: pass@1 0.750, at least 0.76 expected"])


def test_min_pass_is_not_reached_by_some_of_the_problems(project: Project, rows: list[dict[str, Any]]) -> None:
    """All of fifteen solved says nothing of the sixteenth; whoever limits the problems asks for no more."""
    file = _write(project, map(_right, rows[1:]))
    result = project.run("-m", "smoke", file, "--apr-min-pass=0.5")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["smoke on samples.jsonl by file: pass@1 1.000 of 15 problems alone, at least 0.5 of 16 expected"]
    )
    file = _write(project, map(_right, rows[:4]))
    few = project.run("-m", "smoke", file, "--apr-min-pass=0.5", "--apr-limit=4")
    assert few.ret == 0
    few.stdout.fnmatch_lines(["INCOMPLETE: smoke on samples.jsonl: 4 of 4 problems judged, no others were asked"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"canonical_solution": "    return None\n"}, "its reference solution is judged wrong*"),
        ({"test": "def check(candidate):\n    pass\n"}, "a wrong answer planted there passes"),
    ],
    ids=["wrong solution", "test that cannot fail"],
)
def test_problem_that_is_wrong_itself_makes_the_run_invalid(
    project: Project, rows: list[dict[str, Any]], change: dict[str, str], words: str
) -> None:
    """The self-check fails, so no score counts, however good it looks."""
    suites = project.path / "recipes" / "suites"
    real = suites.resolve()
    suites.unlink()
    suites.mkdir()
    (suites / "smoke.yaml").write_text((real / "smoke.yaml").read_text())
    broken = [{**rows[0], **change}, *rows[1:]]
    (suites / "smoke.jsonl").write_text("".join(json.dumps(row) + "\n" for row in broken))
    result = project.run("-m", "smoke", _write(project, map(_right, rows)), "--apr-report=out")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            f"INVALID RUN: smoke/0: {words}",
            "a self-check failed: no score of this run counts",
        ]
    )
    assert project.results()["run"]["valid"] is False


def test_answers_of_an_earlier_run_are_extracted_and_scored_again(project: Project, rows: list[dict[str, Any]]) -> None:
    """Raw answers, as this suite writes them, need no engine either."""
    lines = [
        {
            "task_id": row["task_id"],
            "answer": f"Sure:\n```python\n{row['prompt']}{row['canonical_solution']}\n```\nDone.",
        }
        for row in rows
    ]
    result = project.run("-m", "smoke", _write(project, lines), "--apr-prompt=standard")
    result.stdout.fnmatch_lines(["smoke *16/16*"])


def test_explain_shows_and_runs_a_sample_again(project: Project, rows: list[dict[str, Any]]) -> None:
    """The verdict, the error, the program, and the same verdict once more."""
    project.run("-m", "smoke", _write(project, map(_wrong, rows)), "--apr-report=out")
    result = project.pytester.run(_CLI, "explain", "out", "smoke/3", "--rerun")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["verdict: wrong*", "*return 'no'*", "=== run again", "verdict: wrong *"])


@pytest.mark.slow
def test_compare_names_flipped_tasks_and_exits_1_on_a_clear_loss(project: Project, rows: list[dict[str, Any]]) -> None:
    """Sixteen lost tasks are beyond chance."""
    for name, make in (("a", _right), ("b", _wrong)):
        project.run("-m", "smoke", _write(project, map(make, rows)), f"--apr-report={name}")
    result = project.pytester.run(_CLI, "compare", "a", "b")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["smoke: 16/16 -> 0/16*lost 16*McNemar exact p = 3.05e-05*"])


_MISTAKES: list[tuple[str, list[str], str]] = [
    ("neither", ["-m", "smoke"], "*-m smoke: got neither a model nor completions; accepted: pytest -m smoke --apr-model MODEL, or *"),
    ("both", ["-m", "smoke", "--apr-model=smoke", "--apr-completions=orders"], "*got both; accepted: one of them"),
    ("k above n", ["-m", "smoke", "--apr-model=smoke", "--apr-k=10"], "*--apr-k: got 10 with 1 samples a problem; accepted: *"),
    ("greedy samples", ["-m", "smoke", "--apr-model=smoke", "--apr-samples=5"], "*--apr-samples: got 5 at temperature 0*"),
    ("no number", ["--apr-samples=many"], "*--apr-samples: got 'many'; accepted: a whole number from 1"),
    ("bad k", ["--apr-k=1,x"], "*--apr-k: got '1,x'; accepted: whole numbers from 1 with commas between, such as 1,10"),
    ("bad temperature", ["--apr-temperature=-1"], "*--apr-temperature: got '-1'; accepted: a number from 0 up to 100"),
    ("bad profile", ["--apr-profile=huge"], "*--apr-profile: got 'huge'; accepted: smoke, real"),
    ("bad sandbox", ["--apr-sandbox=none"], "*--apr-sandbox: got 'none'; accepted: auto, namespaces, seccomp, process"),
    ("no file", ["--apr-completions=nowhere.jsonl"], "*--apr-completions: got 'nowhere.jsonl'; accepted: an existing file"),
    ("unknown engine", ["-m", "recipe_x", "--apr-engine=torch"], "*--apr-engine: got 'torch'; accepted: apr, fake, llama_cpp, reference, transformers"),
    ("unknown prompt", ["-m", "smoke", "--apr-model=smoke", "--apr-prompt=poem"], "*unknown prompt profile 'poem'; known: *"),
    ("unknown model", ["-m", "smoke", "--apr-model=gpt"], "*model 'gpt': no such name*allowed: a name in the catalogue*"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line"), [case[1:] for case in _MISTAKES], ids=[case[0] for case in _MISTAKES])
def test_wrong_request_is_one_line_and_exit_code_4(project: Project, words: list[str], line: str) -> None:
    """What was got, and what is accepted."""
    project.order()
    result = project.run(*words)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = [text for text in result.errlines if text.strip()]
    assert len(said) == 1, said
    result.stderr.fnmatch_lines([line])


def test_raw_profile_on_an_instruct_model_is_a_loud_warning(project: Project) -> None:
    """Before anything runs."""
    result = project.run("-m", "smoke", "--apr-model=smoke", "--apr-prompt=raw", "--apr-plan")
    result.stdout.fnmatch_lines(["*prompt profile raw@1 gives an instruct model no chat template*"])


def test_options_have_one_heading_and_ini_twins(project: Project) -> None:
    """All start with --apr- and stand under one heading in --help; the ini file sets them too."""
    text = project.run("--help").stdout.str()
    assert "recipes, benchmarks and criteria for apr:" in text
    assert all(f"--apr-{name}" in text for name in ("engine", "model", "completions", "plan", "sandbox", "store"))
    (project.path / "pytest.ini").write_text("[pytest]\napr_samples = none\n")
    (project.path / "tox.ini").unlink(missing_ok=True)
    project.run().stderr.fnmatch_lines(["*--apr-samples: got 'none'; accepted: a whole number from 1"])


def test_path_outside_the_project_leaves_the_root_alone(
    project: Project, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A path after an option of ours is not taken for a place to look for tests."""
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "samples.jsonl"
    elsewhere.write_text("".join(json.dumps(_right(row)) + "\n" for row in rows))
    result = project.run("-m", "smoke", "--apr-completions", str(elsewhere))
    result.stdout.fnmatch_lines([f"rootdir: {project.path}", "smoke *16/16*"])


@pytest.mark.slow
def test_store_and_report_not_there_yet_may_be_written_with_a_blank(
    project: Project, rows: list[dict[str, Any]]
) -> None:
    """Workers read the same command line when the folders have come to be, and take them for no test."""
    file = _write(project, map(_right, rows))
    result = project.run("-m", "smoke", file, "--apr-store", "new", "--apr-report", "out", workers=2)
    assert result.ret == 0
    [found] = project.results()["benchmarks"]
    assert found["pass_at_k"] == {"1": 1.0}
