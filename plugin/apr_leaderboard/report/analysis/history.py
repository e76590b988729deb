"""One measurement repeated over time: what each run came to, and which problems it won and lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apr_leaderboard.bench import compare_counts
from apr_leaderboard.model.results import BenchmarkResult, Interval
from apr_leaderboard.report.runs import FoundRuns, RecordedRun, decoding_of, subject_of

__all__ = ["HistoryEntry", "history_of"]


@dataclass(frozen=True)
class HistoryEntry:
    """One run's measurement, against the one before it of the same model, benchmark, engine and way of asking.

    `lost`, `gained` (of several samples a problem: whose rate is lower or higher) and `p_value` are those of
    `compare_counts`; None for the first, where not the same problems were judged, and for a run that is not valid,
    which is nothing to hold the next against either. Rates are fractions. `stated`: model and engine are somebody's
    word for a file of completions.
    """

    started: str
    run: str
    benchmark: str
    subject: str
    engine: str
    profile: str
    decoding: str
    solved: int
    judged: int
    pass_at_1: float | None
    interval: Interval | None
    engine_version: str
    caveat: str = ""
    stated: bool = False
    lost: tuple[str, ...] | None = None
    gained: tuple[str, ...] | None = None
    p_value: float | None = None


def history_of(
    found: FoundRuns, *, benchmark: str | None = None, model: str | None = None, engine: str | None = None
) -> tuple[HistoryEntry, ...]:
    """Every measurement that fits, by series and then by date. A model fits by any part of its name."""
    series: dict[tuple[str, ...], list[tuple[RecordedRun, BenchmarkResult]]] = {}
    for run, result in found.evaluations:
        fits = benchmark in (None, result.name) and engine in (None, result.engine)
        if fits and (model is None or model in result.model):
            # How answers were drawn is part of what is measured: greedy is not followed by sampled.
            key = (result.name, subject_of(result), result.engine, result.profile, decoding_of(result))
            series.setdefault(key, []).append((run, result))
    return tuple(entry for key in sorted(series) for entry in _series(series[key]))


def _series(measured: Iterable[tuple[RecordedRun, BenchmarkResult]]) -> Iterator[HistoryEntry]:
    before: dict[str, tuple[int, int]] | None = None
    for run, result in measured:
        now = {problem.task_id: (problem.n, problem.c) for problem in result.problems if problem.n}
        valid = run.results.run.valid
        same = before is not None and bool(now) and set(before) == set(now)
        change = compare_counts(before, now) if before is not None and same and valid else None
        # An engine of the run that happens to have the stated name is not the one that answered.
        seen = () if result.stated else run.results.run.engines
        identity = next((one for one in seen if one.name == result.engine), None)
        yield HistoryEntry(
            started=run.results.run.started,
            run=run.name,
            benchmark=result.name,
            subject=subject_of(result),
            engine=result.engine,
            profile=result.profile,
            decoding=decoding_of(result),
            solved=sum(passed > 0 for _, passed in now.values()),
            judged=result.n_judged,
            pass_at_1=result.pass_at_k.get("1"),
            interval=result.interval.get("1"),
            engine_version=identity.version if identity else "",
            caveat=_caveat(run, result),
            stated=result.stated,
            lost=None if change is None else change.lost,
            gained=None if change is None else change.gained,
            p_value=None if change is None else change.p_value,
        )
        before = now if valid else before


def _caveat(run: RecordedRun, result: BenchmarkResult) -> str:
    if not run.results.run.valid:
        return "INVALID"
    return "" if result.complete else "INCOMPLETE"
