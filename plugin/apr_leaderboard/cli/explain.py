"""`apr-leaderboard explain RUN TASK`: everything behind one verdict, and the verdict again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from apr_leaderboard.bench import (
    KINDS,
    Extraction,
    Problem,
    Sample,
    benchmark_named,
    extraction_of,
    load,
    load_suites,
    profile_named,
    program_for,
)
from apr_leaderboard.cli.benchdata import data_file
from apr_leaderboard.cli.compare import load_run
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.generation import FinishReason
from apr_leaderboard.model.results import BenchmarkResult, Results
from apr_leaderboard.report import evaluation_slug, read_lines
from apr_leaderboard.sandbox import Limits, Sandbox, choose_level
from apr_leaderboard.source import default_catalogue

__all__ = ["explain"]


@dataclass(frozen=True)
class _Case:
    """One sample of one evaluation with everything that was kept of it."""

    result: BenchmarkResult
    verdict: dict[str, Any]
    sample: dict[str, Any]
    evidence: dict[str, Any]


@dataclass(frozen=True)
class _Made:
    """The program of a case as it was run, and under what."""

    problem: Problem
    extraction: Extraction
    limits: Limits


def explain(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A report folder written with --apr-report.")],
    task: Annotated[str, typer.Argument(metavar="TASK", help="A task id, such as HumanEval/7.")],
    sample: Annotated[int, typer.Option(min=0, help="Which of the task's samples.")] = 0,
    data: Annotated[Path | None, typer.Option(help="The benchmark's data, if it comes with no package.")] = None,
    rerun: Annotated[bool, typer.Option("--rerun", help="Run the program once more and say the verdict.")] = False,
    sandbox: Annotated[str, typer.Option(help="The sandbox level of --rerun.")] = "auto",
) -> None:
    """Show the prompt, the raw answer, the program, the verdict, stderr, time and memory of one sample."""
    results = load_run(run)
    cases = list(_cases(run if run.is_dir() else run.parent, results, task, sample))
    if not cases:
        raise RequestError(f"{run}: {_nothing(results, task, sample)}")
    for case in cases:
        _show(case, _program(case, results, data), rerun=rerun, sandbox=sandbox)
    if not rerun:
        more = ["--data", str(data)] if data else []
        words = ["explain", str(run), task, "--sample", str(sample), *more, "--rerun"]
        typer.echo(f"to run it again: apr-leaderboard {shlex.join(words)}")


def _cases(folder: Path, results: Results, task: str, sample: int) -> Iterator[_Case]:
    for result in results.benchmarks:
        slug = evaluation_slug(result.id)
        found = [
            next(_matching(folder / kind / f"{slug}{suffix}", task, sample), None)
            for kind, suffix in (("verdicts", ".jsonl"), ("samples", ".jsonl.gz"), ("evidence", ".jsonl.gz"))
        ]
        if found[0] is not None:
            yield _Case(result, found[0], found[1] or {}, found[2] or {})


def _matching(file: Path, task: str, sample: int) -> Iterator[dict[str, Any]]:
    if file.is_file():
        yield from (line for line in read_lines(file) if line["task_id"] == task and line["sample"] == sample)


def _nothing(results: Results, task: str, sample: int) -> str:
    """Why there is no such sample, and what there is."""
    judged = [problem.n for one in results.benchmarks for problem in one.problems if problem.task_id == task]
    if not judged:
        have = [
            f"{one.problems[0].task_id} to {one.problems[-1].task_id}" for one in results.benchmarks if one.problems
        ]
        return f"no task {task!r}; the run has {', '.join(dict.fromkeys(have)) or 'no problem'}"
    if not max(judged):
        return f"task {task!r} has no verdict: the file of completions has no line for it"
    if sample >= max(judged):
        return f"no sample {sample} of task {task!r}; accepted: 0 to {max(judged) - 1}"
    return f"the verdict of task {task!r} is not in verdicts/; accepted: a folder as --apr-report wrote it"


def _program(case: _Case, results: Results, data: Path | None) -> _Made | None:
    """The program as it was run: extraction is a pure function of the answer. None where nothing was run."""
    kind = next((kind for kind in KINDS if kind in case.sample), None)
    if kind is None or case.sample.get("finish") == FinishReason.CONTEXT:
        return None
    folder = default_catalogue(Path.cwd()).parent
    benchmark = benchmark_named(case.result.name, load_suites(folder / "suites"))
    kept = results.run.options.get("apr_data")
    file = data_file(benchmark, data or (Path(kept) if isinstance(kept, str) else None))
    problem = load(benchmark, file).problem(case.sample["task_id"])
    sample = Sample(problem.task_id, case.sample["sample"], case.sample[kind], kind, 0)
    asked = results.run.options.get("apr_cpu_seconds")
    limits = Limits(cpu_seconds=float(asked) if isinstance(asked, str | int | float) else benchmark.timeout)
    return _Made(problem, extraction_of(sample, problem, profile_named(case.result.profile)), limits)


def _show(case: _Case, made: _Made | None, *, rerun: bool, sandbox: str) -> None:
    result = case.result
    subject = f"{result.model} after {result.after}" if result.after else result.model
    _head(f"{case.verdict['task_id']} sample {case.verdict['sample']}: {subject} by {result.engine}")
    typer.echo(f"verdict: {case.verdict['verdict']} (program found: {case.verdict['how']})")
    if "cpu" in case.evidence:
        memory = case.evidence["rss"] / 1e6
        typer.echo(f"cpu {case.evidence['cpu']:.3f} s, wall {case.evidence['wall']:.3f} s, memory {memory:.1f} MB")
    _section("error", case.evidence.get("error", ""))
    _section("stderr", case.evidence.get("stderr", ""))
    prompt = case.sample.get("prompt")
    if prompt is not None:
        messages = "\n".join(f"[{one['role']}]\n{one['content']}" for one in prompt["messages"])
        _section("prompt", prompt.get("raw") or messages)
        _section("answer begun with", prompt["prefill"])
        typer.echo(f"stop strings: {json.dumps(prompt['stop'])}; seed {prompt['seed']}")
    if "finish" in case.sample:
        typer.echo(f"the answer ended by: {case.sample['finish']}")
    for kind in KINDS:
        if kind in case.sample:
            _section(f"raw {kind}", case.sample[kind] or "(empty)")
    if made is None:
        return
    _section("program", made.extraction.program)
    _section("check", made.problem.check)
    if rerun:
        with Sandbox(choose_level(sandbox), made.limits) as box:
            again = box.run(program_for(made.problem, made.extraction))
        _head("run again")
        typer.echo(f"verdict: {again.verdict.value} at level {again.level.value} {again.error}".rstrip())
        _section("stderr", again.stderr)


def _head(text: str) -> None:
    typer.echo(f"=== {text}")


def _section(title: str, text: str) -> None:
    if text:
        typer.echo(f"--- {title}\n{text.rstrip()}")
