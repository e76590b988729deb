"""`apr-leaderboard pairs RUN`: preference pairs out of a run with several samples a problem."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.bench import benchmark_named
from apr_leaderboard.cli.benchdata import problems_of
from apr_leaderboard.cli.compare import need_valid, pick
from apr_leaderboard.cli.failures import RunArgument, recorded
from apr_leaderboard.cli.figures import some
from apr_leaderboard.cli.grouped import grouped
from apr_leaderboard.cli.leaderboard import known_here
from apr_leaderboard.errors import RequestError
from apr_leaderboard.report.analysis import PairsReport, judged_answers, make_pairs

__all__ = ["pairs"]

_HELD_OUT = ("humaneval", "mbpp")


@dataclass(frozen=True)
class _Asked:
    """What `pairs` is asked."""

    run: RunArgument
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The JSONL to write: prompt, chosen, rejected.")]
    benchmark: Annotated[str | None, typer.Option(help="Only this benchmark's samples.")] = None
    model: Annotated[str | None, typer.Option(help="Only this model's.")] = None
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=FILE]",
            help="A benchmark to keep unseen, and where its data are; repeat. humaneval and mbpp when not given; "
            "none: no one.",
        ),
    ] = None
    most: Annotated[int | None, typer.Option(min=1, help="At most this many pairs a task.")] = None
    engine: Annotated[str | None, typer.Option(help="Only this engine.")] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False


@grouped
def pairs(asked: _Asked) -> None:
    """Put answers that passed beside answers that failed, in the form that the align stage reads.

    Equal answers count once. A task that repeats a problem of a benchmark to be kept unseen is left out (half of the
    problem's runs of ten words), so pairs for HumanEval's sake are made from other benchmarks. Exit code 1: no pair.
    """
    found = recorded(asked.run)
    names = [asked.benchmark] if asked.benchmark else list(dict.fromkeys(one.name for one in found.results.benchmarks))
    need_valid(asked.run, found.results)
    picked = [pick(found.results, name, asked.model, asked.engine) for name in names]
    for result in picked:
        if result.n_samples < 2:
            raise RequestError(f"{asked.run}: {result.name} has 1 sample a problem; accepted: --apr-samples 2 or more")
    held_out = _held_out(asked.against)
    told = [make_pairs(judged_answers(found, result), held_out, most=asked.most) for result in picked]
    records = [pair for one in told for pair in one.pairs]
    try:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text("".join(json.dumps(pair, ensure_ascii=False) + "\n" for pair in records), encoding="utf-8")
    except OSError as error:
        raise RequestError(f"{asked.out}: cannot be written: {error.strerror}; accepted: a file in a folder") from None
    if asked.as_json:
        typer.echo(json.dumps({name: _counts(one) for name, one in zip(names, told, strict=True)}, indent=1))
    else:
        for name, one in zip(names, told, strict=True):
            typer.echo("\n".join(f"{name}: {line}" for line in _lines(one, asked.against)))
        typer.echo(f"{asked.out}: {len(records)} pairs")
    if not records:
        raise typer.Exit(1)


def _held_out(against: list[str] | None) -> dict[str, str]:
    """Problem texts by benchmark and task. Raises `RequestError`, and what loading a benchmark raises."""
    suites = known_here()[1]
    texts = {}
    for one in () if against == ["none"] else against or _HELD_OUT:
        name, found, file = one.partition("=")
        if found and not Path(file).is_file():
            raise RequestError(f"--against: got {one!r}; accepted: a benchmark, or NAME=FILE with an existing file")
        for problem in problems_of(benchmark_named(name, suites), Path(file) if found else None):
            texts[f"{name}::{problem.task_id}"] = problem.prompt
    return texts


def _counts(one: PairsReport) -> dict[str, object]:
    return {
        "pairs": len(one.pairs),
        "tasks": one.tasks,
        "tasks_with_pairs": len({pair["task_id"] for pair in one.pairs}),
        "all_passed": list(one.all_passed),
        "all_failed": list(one.all_failed),
        "no_prompt": list(one.no_prompt),
        "duplicate_answers": one.duplicates,
        "contaminated": one.contaminated,
        "over_the_most": one.over_the_most,
    }


def _lines(one: PairsReport, against: list[str] | None) -> list[str]:
    lines = [
        f"{len(one.pairs)} pairs of {len({pair['task_id'] for pair in one.pairs})} tasks, of {one.tasks} sampled",
        f"settled: {len(one.all_passed)} tasks all passed, {len(one.all_failed)} all failed",
        f"equal answers left out: {one.duplicates}; pairs over --most: {one.over_the_most}",
    ]
    if one.no_prompt:
        lines.append(f"no prompt is recorded, left out: {len(one.no_prompt)} tasks: {some(one.no_prompt)}")
    kept = "nothing" if against == ["none"] else ", ".join(against or _HELD_OUT)
    repeats = [f"{task} repeats {other}" for task, other in one.contaminated.items()]
    lines.append(f"held out from {kept}: {len(repeats)} tasks left out" + (f": {some(repeats, 4)}" if repeats else ""))
    return lines
