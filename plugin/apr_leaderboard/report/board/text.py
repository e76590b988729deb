"""The leaderboard as Markdown, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

from apr_leaderboard.report.board.page import evidence_link
from apr_leaderboard.report.board.table import Board, Cell, Column, Row

__all__ = ["csv_of", "json_of", "markdown_of"]

_FIELDS = (
    "model", "recipe", "after", "profile", "decoding", "benchmark", "engine", "pass_at_1", "low", "high", "level",
    "method", "solved", "judged", "problems", "samples", "complete", "valid", "published_percent",
    "published_problems", "published_source", "verdict", "started", "evidence", "stated",
)  # fmt: skip


def markdown_of(board: Board, folder: Path) -> str:
    """One table a benchmark, a row a model and engine; links to evidence are relative to `folder`."""
    parts = []
    for name in board.benchmarks:
        parts += [
            f"## {board.titles.get(name) or name}",
            "",
            "| model | prompt | engine | pass@1 | 95 % | solved | published | verdict |",
            "|---|---|---|---|---|---|---|---|",
            *(_line(row, column, cell, folder) for row, column, cell in _cells(board) if column.benchmark == name),
            "",
        ]
    parts += [f"Left out: {line}" for line in board.left_out]
    return "\n".join(parts).rstrip() + "\n"


def csv_of(board: Board, folder: Path) -> str:
    """A line a measurement, fractions unrounded; what was not measured or published is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _FIELDS, lineterminator="\n")
    writer.writeheader()
    for row, column, cell in _cells(board):
        writer.writerow(_record(row, column, cell, folder))
    return out.getvalue()


def json_of(board: Board, folder: Path) -> str:
    """The same as JSON: an object a measurement, null for what was not measured or published."""
    records = [_record(row, column, cell, folder) for row, column, cell in _cells(board)]
    whole = [{field: record.get(field) for field in _FIELDS} for record in records]
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cells(board: Board) -> list[tuple[Row, Column, Cell]]:
    return [(row, column, cell) for row in board.rows for column, cell in row.cells.items()]


def _line(row: Row, column: Column, cell: Cell, folder: Path) -> str:
    interval, figure = cell.result.interval.get("1"), cell.published
    link = evidence_link(cell, folder)
    rate = "not measured" if cell.rate is None else f"{cell.rate:.1%}"
    words = [
        _plain(row.title),
        _plain(f"{row.profile}, {row.decoding}"),
        _plain(column.engine) + (" (stated)" if cell.stated else ""),
        f"[{rate}]({link})" + (f" {cell.caveat}" if cell.caveat else ""),
        "" if interval is None else f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
        f"{cell.solved} of {cell.result.n_judged}",
        "" if figure is None else _plain(f"{figure.percent:g} % ({figure.source})"),
        cell.verdict,
    ]
    return f"| {' | '.join(words)} |"


def _plain(text: str) -> str:
    """Text that Markdown leaves alone within a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _record(row: Row, column: Column, cell: Cell, folder: Path) -> dict[str, object]:
    interval, figure, result = cell.result.interval.get("1"), cell.published, cell.result
    there = cell.run.evidence(result)
    file = there.get("verdicts", there["results"])
    return {
        "model": row.model,
        "recipe": row.recipe,
        "after": row.after,
        "profile": row.profile,
        "decoding": row.decoding,
        "benchmark": column.benchmark,
        "engine": column.engine,
        "pass_at_1": cell.rate,
        **({} if interval is None else interval.model_dump()),
        "solved": cell.solved,
        "judged": result.n_judged,
        "problems": result.n_problems,
        "samples": result.n_samples,
        "complete": result.complete,
        "valid": cell.run.results.run.valid,
        "published_percent": figure and figure.percent,
        "published_problems": figure and figure.n_problems,
        "published_source": figure and figure.source,
        "verdict": cell.verdict,
        "stated": cell.stated,
        "started": cell.run.results.run.started,
        "evidence": Path(os.path.relpath(file.resolve(), folder.resolve())).as_posix(),
    }
