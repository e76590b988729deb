"""What `apr data` left is opened step by step and held against the rows it was given.

A row that was lost, changed or invented, and a step that did nothing of what it says, are an `EngineOutputError`. The
formulas are those of `engine.dataset`.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apr_leaderboard.engine.apr.argv import shell_line
from apr_leaderboard.engine.apr.outputs import Figures
from apr_leaderboard.engine.apr.preparing_argv import DATA_FILE, HELD_OUT_FILE, leaves_rows, step_files
from apr_leaderboard.engine.dataset import Row, near_duplicates, ngrams, overlap, quality_of, read_rows, write_rows
from apr_leaderboard.engine.jobs import PrepDataJob
from apr_leaderboard.errors import EngineOutputError, FileFormatError
from apr_leaderboard.model.record import Finding

__all__ = ["verify_prepared"]


@dataclass
class _Report:
    command: tuple[str, ...]
    figures: Figures = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def find(self, code: str, message: str, *, undone: bool = False) -> None:
        command = shell_line(self.command)
        self.findings.append(Finding(code=code, message=message, command=command, undone=undone))

    def wrong(self, problem: str) -> EngineOutputError:
        return EngineOutputError("apr", problem, command=self.command)


def verify_prepared(job: PrepDataJob, out: Path, argv: Sequence[str]) -> tuple[Figures, list[Finding]]:
    """Figures and findings of a finished chain; leaves data.jsonl and held-out.jsonl alone in `out`."""
    report = _Report(tuple(argv))
    try:
        rows = read_rows(job.data)
        report.figures["n_before"] = len(rows)
        for step, _, left in step_files(job, out):
            after = read_rows(left) if leaves_rows(step) else rows
            aside = _held_out(out) if step == "split" else []
            _no_row_is_new(step, rows, [*after, *aside], report)
            _verify_step(step, job, rows, after, out, report)
            report.figures[f"n_dropped_{step}"] = len(rows) - len(after) - len(aside)
            rows = after
        if [row.content for row in read_rows(out / DATA_FILE)] != [row.content for row in rows]:
            raise report.wrong(f"{DATA_FILE} does not hold the rows of the last step")
    except FileFormatError as error:
        raise report.wrong(f"reported success, but what it wrote cannot be read: {error}") from error
    report.figures["n_after"] = len(rows)
    _tidy(job, out)
    return report.figures, report.findings


def _held_out(out: Path) -> list[Row]:
    path = out / "split" / "test.jsonl"
    return read_rows(path) if path.exists() and path.stat().st_size else []


def _no_row_is_new(step: str, before: Sequence[Row], after: Sequence[Row], report: _Report) -> None:
    new = Counter(row.content for row in after) - Counter(row.content for row in before)
    if new:
        raise report.wrong(f"{step}: {sum(new.values())} rows are not among those it was given: {min(new):.120}")


def _verify_step(
    step: str, job: PrepDataJob, before: Sequence[Row], after: Sequence[Row], out: Path, report: _Report
) -> None:
    match step:
        case "audit":
            _audit(_told(out, step), before, report)
        case "dedup":
            _dedup(before, after, report)
        case "decontaminate":
            _decontaminate(job, _told(out, step), after, report)
        case "quality":
            _quality(job, after, report)
        case "balance":
            _balance(job, after, report)
        case _:
            _split(job, before, after, out, report)


def _told(out: Path, step: str) -> dict[str, Any]:
    try:
        document = json.loads((out / f"{step}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _audit(told: dict[str, Any], rows: Sequence[Row], report: _Report) -> None:
    samples, duplicates = told.get("total_samples"), told.get("duplicates")
    report.figures |= {"audit_samples": str(samples), "audit_exact_duplicates": str(duplicates)}
    if samples != len(rows):
        raise report.wrong(f"audit: tells of {samples} samples where there are {len(rows)}")
    report.figures |= {"audit_samples": len(rows)}
    ours = len(rows) - len({row.question for row in rows})
    if duplicates != ours:
        report.find("audit-miscounts", f"tells of {duplicates} duplicates; {ours} instructions stand before")
    else:
        report.figures["audit_exact_duplicates"] = ours


def _dedup(before: Sequence[Row], after: Sequence[Row], report: _Report) -> None:
    distinct = {row.content for row in before}
    if len(after) != len({row.content for row in after}):
        raise report.wrong("dedup: rows are left that are equal")
    if lost := len(distinct) - len(after):
        raise report.wrong(f"dedup: {lost} rows are gone that no other equals")
    if near := near_duplicates([row.text for row in after]):
        report.find(
            "near-duplicates-kept",
            f"{len(near)} of {len(after)} rows are nearly one before them; only equal ones are dropped",
        )


def _decontaminate(job: PrepDataJob, told: dict[str, Any], rows: Sequence[Row], report: _Report) -> None:
    n, limit = job.params.ngram, job.params.overlap
    known = {gram for path in job.against for row in read_rows(path) for gram in ngrams(row.text, n)}
    shares = [share for row in rows if (share := overlap(row.text, known, n)) is not None]
    left = sum(share >= limit for share in shares)
    report.figures |= {"n_contaminated": left, "largest_overlap": max(shares, default=0.0)}
    if left:
        raise report.wrong(
            f"decontaminate: {left} of {len(rows)} samples have {limit:g} or more of their runs of {n} words"
            f" in the benchmarks, and are there still; it counts {told.get('contaminated_count')}"
        )


def _quality(job: PrepDataJob, rows: Sequence[Row], report: _Report) -> None:
    near = near_duplicates([row.text for row in rows])
    scores = [quality_of(row, duplicate=at in near) for at, row in enumerate(rows)]
    poor = sum(one.score < job.params.min_quality for one in scores)
    broken = sum(one.parses == 0.0 for one in scores)
    report.figures["lowest_quality"] = min(one.score for one in scores)
    if poor or broken:
        report.find(
            "quality-not-of-code",
            f"{poor} of the {len(rows)} rows left score below {job.params.min_quality:g}, {broken} hold no valid"
            " Python: words are looked at, as in prose",
            undone=poor > 0,
        )


def _balance(job: PrepDataJob, rows: Sequence[Row], report: _Report) -> None:
    key = job.params.balance_by
    counts = Counter(str(row.values.get(key)) for row in rows)
    if "None" in counts or len(set(counts.values())) != 1:
        common = ", ".join(f"{value} {n}" for value, n in counts.most_common(4))
        raise report.wrong(f"balance: the values of {key!r} are not equally frequent afterwards: {common}")


def _split(job: PrepDataJob, before: Sequence[Row], after: Sequence[Row], out: Path, report: _Report) -> None:
    aside = _held_out(out)
    report.figures["n_held_out"] = len(aside)
    if lost := len(before) - len(after) - len(aside):
        raise report.wrong(f"split: {lost} of {len(before)} rows are in neither part")
    wanted = job.params.held_out * len(before)
    if not aside and wanted >= 1:
        raise report.wrong(f"split: nothing was put aside of {len(before)} rows")
    if abs(len(aside) - wanted) > max(1.0, 0.02 * len(before)):
        report.find("split-off-share", f"{len(aside)} of {len(before)} put aside where {wanted:.0f} were asked for")
    write_rows(out / HELD_OUT_FILE, aside)


def _tidy(job: PrepDataJob, out: Path) -> None:
    """The steps' own files go: they are checked, and some tell a table in an order that is never the same twice."""
    for step in job.params.steps:
        for path in (out / f"{step}.json", out / f"{step}.jsonl"):
            path.unlink(missing_ok=True)
    shutil.rmtree(out / "split", ignore_errors=True)
