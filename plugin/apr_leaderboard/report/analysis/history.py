"""One measurement repeated over time: what each run came to, and which problems it won and lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from apr_leaderboard.bench import mcnemar_exact
from apr_leaderboard.model.results import BenchmarkResult, Interval
from apr_leaderboard.report.runs import FoundRuns, RecordedRun, decoding_of, subject_of

__all__ = ["HistoryEntry", "history_of"]


@dataclass(frozen=True)
class HistoryEntry:
    """One run's measurement, against the one before it of the same model, benchmark, engine and way of asking.

    `lost`, `gained` and `p_value` (McNemar's exact test) are None for the first, and where not the same problems were
    judged. Rates are fractions. `stated`: model and engine are somebody's word for a file of completions.
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
    before: dict[str, bool] | None = None
    for run, result in measured:
        now = {problem.task_id: problem.c > 0 for problem in result.problems if problem.n}
        lost = gained = p_value = None
        if before is not None and set(before) == set(now):
            lost = tuple(task for task in now if before[task] and not now[task])
            gained = tuple(task for task in now if now[task] and not before[task])
            p_value = mcnemar_exact(len(lost), len(gained))
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
            solved=sum(now.values()),
            judged=result.n_judged,
            pass_at_1=result.pass_at_k.get("1"),
            interval=result.interval.get("1"),
            engine_version=identity.version if identity else "",
            caveat=_caveat(run, result),
            stated=result.stated,
            lost=lost,
            gained=gained,
            p_value=p_value,
        )
        before = now


def _caveat(run: RecordedRun, result: BenchmarkResult) -> str:
    if not run.results.run.valid:
        return "INVALID"
    return "" if result.complete else "INCOMPLETE"
