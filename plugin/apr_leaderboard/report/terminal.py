"""The last lines of a run: what each recipe and benchmark came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from apr_leaderboard.model.results import BenchmarkResult, ObligationResult, Results, StageResult
from apr_leaderboard.proof import coverage_of, coverage_table
from apr_leaderboard.report.criteriatable import criteria_table, criteria_words

__all__ = ["summary_lines"]

_MOST_NAMED = 8


def summary_lines(results: Results, ks: Sequence[int] = (1,)) -> Iterator[str]:
    """Plain text, one line each; `ks` is what was asked of pass@k."""
    yield from _stage_tables(results.stages)
    if results.benchmarks:
        yield from _benchmark_table(results.benchmarks, ks)
    if results.obligations:
        yield from _obligations(results.obligations)
    if results.criteria:
        yield from _aligned(criteria_table(results.criteria))
        yield from criteria_words(results.criteria)
    if results.run.sandbox:
        yield f"sandbox: {results.run.sandbox}"
    yield from results.run.notes


def _stage_tables(stages: Sequence[StageResult]) -> Iterator[str]:
    """For each recipe, stages down and engines across."""
    for recipe in dict.fromkeys(stage.recipe for stage in stages):
        rows = [stage for stage in stages if stage.recipe == recipe]
        engines = list(dict.fromkeys(stage.engine for stage in rows))
        cells = {(row.stage, row.engine): _stage_cell(row) for row in rows}
        table = [[f"{recipe} ({rows[0].profile})", *engines]]
        for name in dict.fromkeys(row.stage for row in rows):
            table.append([f"  {name}", *(cells.get((name, engine), "-") for engine in engines)])
        yield from _aligned(table)
        for row in rows:
            for finding in row.findings:
                yield f"  finding on {row.stage} by {row.engine}: {finding.code}: {finding.message}"
                if finding.command:
                    yield f"    shown by: {finding.command}"
            for warning in row.warnings:
                yield f"  warning on {row.stage} by {row.engine}: {warning}"
            if row.reason:
                yield f"  {row.stage} by {row.engine}: {row.outcome.value}: {row.reason}"


def _stage_cell(stage: StageResult) -> str:
    how = "from the store" if stage.cached else f"{stage.seconds:.1f} s"
    return f"{stage.outcome.value} ({how})" if stage.outcome.value == "passed" else stage.outcome.value


def _benchmark_table(benchmarks: Sequence[BenchmarkResult], ks: Sequence[int]) -> Iterator[str]:
    table = [["benchmark", "model", "engine", "profile", "solved", "pass@k"]]
    for one in benchmarks:
        subject = f"{one.model} after {one.after}" if one.after else one.model
        solved = sum(1 for problem in one.problems if problem.c)
        table.append([one.name, subject, one.engine, one.profile, f"{solved}/{one.n_judged}", _rates(one)])
    yield from _aligned(table)
    for one in benchmarks:
        if one.completions is not None and one.completions.stated:
            file, digest = one.completions.file, one.completions.sha256[:16]
            yield f"{one.name} on {one.model} by {one.engine}: as stated of {file} (sha256 {digest}...)"
        if not one.complete:
            infra = f", {one.n_infra} without a verdict because our side broke" if one.n_infra else ""
            asked = f"{one.n_judged} of {one.n_problems} problems judged"
            few = ", no others were asked" if one.partial else ""
            yield f"INCOMPLETE: {one.name} on {one.model}: {asked}{few}{infra}"
        bad = [problem.task_id for problem in one.problems if problem.task_id in one.known_bad]
        if bad:
            yield f"{one.name}: tasks known to be wrong, counted like any other: {', '.join(bad)}"
        distinct = [problem.distinct for problem in one.problems if problem.distinct is not None]
        if distinct:
            mean = sum(distinct) / len(distinct)
            yield f"{one.name} on {one.model}: {mean:.1f} distinct answers a problem, of up to {one.n_samples}"
        missing = [problem.task_id for problem in one.problems if not problem.n]
        if missing:
            yield f"{one.name}: no completion for {_some(missing)}"
        lacking = [k for k in ks if str(k) not in one.pass_at_k]
        if lacking and one.n_judged:
            fewest = min(problem.n for problem in one.problems if problem.n)
            names = ", ".join(f"pass@{k}" for k in lacking)
            samples = f"{fewest} sample{'' if fewest == 1 else 's'}"
            yield f"{one.name} on {one.model}: {names} not measured: not every problem has more than {samples}"


def _obligations(obligations: Sequence[ObligationResult]) -> Iterator[str]:
    yield from _aligned(coverage_table(obligations))
    found = coverage_of(obligations)
    yield f"binding coverage: {found.bound} of {found.total} obligations ({found.share:.1%})"
    for one in obligations:
        if one.level.value == "open":
            yield f"open: {one.contract}::{one.id}: {one.evidence}"


def _rates(one: BenchmarkResult) -> str:
    if not one.pass_at_k:
        return "not measured"
    parts = []
    for k, rate in one.pass_at_k.items():
        interval = one.interval[k]
        parts.append(f"pass@{k} {rate:.1%} [{interval.low:.1%}, {interval.high:.1%}]")
    return ", ".join(parts)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _aligned(table: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = list(table)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
