"""The leaderboard as data: a row a model and way of asking, a column a benchmark and engine, a cell a measurement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from apr_leaderboard.bench import BUILT_IN, Benchmark, Comparison, RateComparison, compare_counts
from apr_leaderboard.model.catalogue import Catalogue
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.report.board.published import PublishedFigure, Standing, differs_by, published_for, standing_of
from apr_leaderboard.report.runs import FoundRuns, RecordedRun, decoding_of

__all__ = ["Board", "Cell", "Column", "Pair", "Row", "board_of"]


@dataclass(frozen=True, order=True)
class Column:
    """One benchmark as one engine did it."""

    benchmark: str
    engine: str


@dataclass(frozen=True)
class Cell:
    """The measurement that counts, and those of the same before it, oldest first and this one last."""

    run: RecordedRun
    result: BenchmarkResult
    published: PublishedFigure | None
    history: tuple[tuple[str, float], ...] = ()

    @property
    def rate(self) -> float | None:
        """pass@1 as a fraction; None where it was not measured."""
        return self.result.pass_at_k.get("1")

    @property
    def solved(self) -> int:
        """Problems with at least one sample that passed."""
        return sum(1 for problem in self.result.problems if problem.c)

    @property
    def standing(self) -> Standing:
        """How it stands to what was published."""
        return standing_of(self.result, self.published, valid=self.run.results.run.valid)

    @property
    def verdict(self) -> str:
        """The standing in words: consistent, differs by N problems, ..."""
        if self.standing in (Standing.CONSISTENT, Standing.DIFFERS) and self.published is not None:
            apart = differs_by(self.result, self.published)
            noun = "problem" if abs(apart) == 1 else "problems"
            if self.standing is Standing.DIFFERS:
                return f"differs by {abs(apart)} {noun} ({apart:+d})"
            return f"consistent ({apart:+d} {noun})" if apart else "consistent (equal)"
        return self.standing.value

    @property
    def stated(self) -> bool:
        """Whether model and engine are somebody's word for a file of completions."""
        return self.result.stated

    @property
    def caveat(self) -> str:
        """Why the rate does not count in full: INVALID, INCOMPLETE; empty where it does."""
        if not self.run.results.run.valid:
            return "INVALID"
        return "" if self.result.complete else "INCOMPLETE"


@dataclass(frozen=True)
class Row:
    """One model asked in one way. `cells` has only the columns that were measured."""

    model: str
    recipe: str | None
    after: str | None
    profile: str
    decoding: str
    cells: dict[Column, Cell] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The model, and after which stage."""
        if not self.after:
            return self.model
        return f"{self.model} after {self.after}" + (f" ({self.recipe})" if self.recipe else "")


@dataclass(frozen=True)
class Pair:
    """Two engines on the same model, benchmark and way of asking, task by task."""

    row: Row
    benchmark: str
    engines: tuple[str, str]
    comparison: Comparison | RateComparison

    @property
    def better(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """For each engine, the problems that it alone solves; of several samples, those that it solves more often."""
        return self.comparison.lost, self.comparison.gained


@dataclass(frozen=True)
class Board:
    """The whole table: best first by the first benchmark that a row has, columns by benchmark and engine."""

    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    titles: dict[str, str]
    left_out: tuple[str, ...] = ()
    n_runs: int = 0
    figures: dict[tuple[str, str], PublishedFigure] = field(default_factory=dict)

    @cached_property
    def benchmarks(self) -> tuple[str, ...]:
        """In the order of the columns."""
        return tuple(dict.fromkeys(column.benchmark for column in self.columns))

    @cached_property
    def engines(self) -> tuple[str, ...]:
        """Every engine that measured something."""
        return tuple(sorted({column.engine for column in self.columns}))

    def published(self, row: Row, benchmark: str) -> PublishedFigure | None:
        """What was published for a row's model, whether or not that row has a measurement."""
        return self.figures.get((row.model, benchmark))

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """Every two engines that judged the same problems of a row, runs that are not valid aside."""
        return tuple(pair for row in self.rows for benchmark in self.benchmarks for pair in _pairs(row, benchmark))


def board_of(found: FoundRuns, catalogue: Catalogue | None = None, suites: Iterable[Benchmark] = ()) -> Board:
    """Lay out recorded runs.

    Of several measurements of the same, the newest that is valid and complete counts; one whose engine was seen at
    work before one that is only stated.
    """
    suites = tuple(suites)
    rows: dict[tuple[str, ...], Row] = {}
    taken: dict[tuple[tuple[str, ...], Column], list[tuple[RecordedRun, BenchmarkResult]]] = {}
    for run, result in found.evaluations:
        how = decoding_of(result)
        key = (result.model, result.recipe or "", result.after or "", result.profile, how)
        rows.setdefault(key, Row(result.model, result.recipe, result.after, result.profile, how))
        taken.setdefault((key, Column(result.name, result.engine)), []).append((run, result))
    asked = {(row.model, column.benchmark) for row in rows.values() for _, column in taken}
    figures = {pair: figure for pair in asked if (figure := published_for(*pair, catalogue, suites)) is not None}
    for (who, column), measured in sorted(taken.items(), key=lambda item: (_place(item[0][1].benchmark), item[0])):
        rows[who].cells[column] = _cell(measured, figures.get((rows[who].model, column.benchmark)))
    columns = tuple(sorted({column for _, column in taken}, key=lambda one: (_place(one.benchmark), one)))
    titles = {one.name: one.title for one in suites if one.title}
    ranked = sorted(rows.values(), key=lambda row: _rank(row, columns))
    return Board(tuple(ranked), columns, titles, found.left_out, len(found.runs), figures)


def _cell(measured: list[tuple[RecordedRun, BenchmarkResult]], published: PublishedFigure | None) -> Cell:
    """Runs come oldest first; an incomplete, invalid or stated one counts only where there is no better."""
    whole = [(run, result) for run, result in measured if result.complete and run.results.run.valid]
    best = [(run, result) for run, result in whole if not result.stated] or whole
    run, result = (best or measured)[-1]
    history = [(run.results.run.started, result.pass_at_k["1"]) for run, result in best if "1" in result.pass_at_k]
    return Cell(run, result, published, tuple(history))


def _place(benchmark: str) -> int:
    """Built-in benchmarks in their own order, others after them."""
    return next((place for place, one in enumerate(BUILT_IN) if one.name == benchmark), len(BUILT_IN))


def _rank(row: Row, columns: tuple[Column, ...]) -> tuple[str | int | float, ...]:
    """What counts before what does not, the higher rate before the lower, else by name."""
    benchmark = next(column.benchmark for column in columns if column in row.cells)
    cells = [row.cells[column] for column in columns if column in row.cells and column.benchmark == benchmark]
    best = max((cell.rate for cell in cells if cell.rate is not None and not cell.caveat), default=None)
    here = next(place for place, column in enumerate(columns) if column.benchmark == benchmark)
    return (here, best is None, -(best or 0.0), row.model, row.after or "", row.profile, row.decoding)


def _pairs(row: Row, benchmark: str) -> list[Pair]:
    measured = [(column, cell) for column, cell in row.cells.items() if cell.run.results.run.valid]
    cells = [(column.engine, cell) for column, cell in measured if column.benchmark == benchmark]
    found = []
    for place, (first, one) in enumerate(cells):
        for second, two in cells[place + 1 :]:
            a, b = ({p.task_id: (p.n, p.c) for p in cell.result.problems if p.n} for cell in (one, two))
            if a and set(a) == set(b):
                found.append(Pair(row, benchmark, (first, second), compare_counts(a, b)))
    return found
