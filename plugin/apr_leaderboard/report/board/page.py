"""The leaderboard as one HTML file that needs nothing else: no script, style, font or picture from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from apr_leaderboard.bench import BUILT_IN, RateComparison
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.report.board.drawings import interval_bar, sparkline
from apr_leaderboard.report.board.published import Standing
from apr_leaderboard.report.board.table import Board, Cell, Column, Row

__all__ = ["evidence_link", "page_of"]

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
)
_TITLES = {one.name: one.title for one in BUILT_IN}
_MOST_NAMED = 12


def page_of(board: Board, folder: Path, title: str = "apr-leaderboard") -> str:
    """The whole page; links to evidence are relative to `folder`, where the page is to lie."""
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_asset('page.css')}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *_lead(board),
            *_filters(board),
            *_table(board, folder),
            *_pairs(board),
            *_details(board, folder),
            *_foot(board),
            f"<script>\n{_asset('page.js')}</script>",
            "</body></html>\n",
        ]
    )


def evidence_link(cell: Cell, folder: Path, kind: str = "verdicts") -> str:
    """A cell's evidence as a URL relative to `folder`: the verdicts, or results.json where none were kept."""
    there = cell.run.evidence(cell.result)
    path = os.path.relpath(there.get(kind, there["results"]).resolve(), folder.resolve())
    return quote(Path(path).as_posix())


def _asset(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _lead(board: Board) -> Iterator[str]:
    newest = max((cell.run.results.run.started for row in board.rows for cell in row.cells.values()), default="")
    yield (
        f'<p class="soft">pass@1 from {_count(board.n_runs, "recorded run")}, newest {escape(newest[:10])}. '
        "The band is the 95 % interval, the mark the measured rate, the triangle the published one. "
        "<b>Consistent</b>: the published rate lies within the measured interval. Every figure leads to its verdicts, "
        "one line a problem.</p>"
    )


def _filters(board: Board) -> Iterator[str]:
    standings = sorted({cell.standing for row in board.rows for cell in row.cells.values()})
    yield "<form hidden>"
    yield '<label>Model, recipe, prompt<input name="search" type="search" autocomplete="off"></label>'
    yield from _choice("benchmark", "Benchmark", {name: _title(board, name) for name in board.benchmarks})
    yield from _choice("engine", "Engine", {name: name for name in board.engines})
    yield from _choice("verdict", "Against published", {one.value: one.value for one in standings})
    yield '<button type="reset">Show all</button><output id="count" class="soft"></output></form>'


def _choice(name: str, label: str, values: dict[str, str]) -> Iterator[str]:
    yield f'<label>{label}<select name="{name}"><option value="">all</option>'
    for value, words in values.items():
        yield f'<option value="{escape(value)}">{escape(words)}</option>'
    yield "</select></label>"


def _table(board: Board, folder: Path) -> Iterator[str]:
    yield '<div class="wide"><table id="board"><thead><tr>'
    yield '<th scope="col" rowspan="2" data-column="model"><button type="button">Model</button></th>'
    for name in board.benchmarks:
        span = 1 + sum(column.benchmark == name for column in board.columns)
        yield (
            f'<th scope="colgroup" colspan="{span}" data-group data-benchmark="{escape(name)}">'
            f"{escape(_title(board, name))}</th>"
        )
    yield "</tr><tr>"
    for name in board.benchmarks:
        yield f'<th scope="col" data-benchmark="{escape(name)}">published</th>'
        for column in _columns(board, name):
            key = f"{column.benchmark}/{column.engine}"
            yield (
                f'<th scope="col" {_where(column)} data-column="{escape(key)}">'
                f'<button type="button">{escape(column.engine)}</button></th>'
            )
    yield "</tr></thead><tbody>"
    for row in board.rows:
        yield from _row(board, row, folder)
    yield "</tbody></table></div>"


def _row(board: Board, row: Row, folder: Path) -> Iterator[str]:
    about = f"{row.profile}, {row.decoding}"
    search = escape(f"{row.title} {about}".lower())
    yield f'<tr data-search="{search}"><th scope="row">{escape(row.title)}<small>{escape(about)}</small></th>'
    for name in board.benchmarks:
        yield _published_cell(board, row, name)
        for column in _columns(board, name):
            cell = row.cells.get(column)
            label = f"{_title(board, name)}, {column.engine}"
            if cell is None:
                yield f'<td class="none" {_where(column)} data-label="{escape(label)}">not measured</td>'
            else:
                yield _rate_cell(column, cell, label, folder, _anchor(board, row, column))
    yield "</tr>"


def _published_cell(board: Board, row: Row, benchmark: str) -> str:
    figure = board.published(row, benchmark)
    label = escape(f"{_title(board, benchmark)}, published")
    if figure is None:
        return f'<td class="none" data-benchmark="{escape(benchmark)}" data-label="{label}">none</td>'
    n = "problems not stated" if figure.n_problems is None else f"{figure.n_problems} problems"
    return (
        f'<td data-benchmark="{escape(benchmark)}" data-label="{label}">{figure.percent:g} %'
        f'<small class="of" title="{escape(figure.words)}">{n}</small></td>'
    )


def _rate_cell(column: Column, cell: Cell, label: str, folder: Path, anchor: str) -> str:
    interval = cell.result.interval.get("1")
    if cell.rate is None or interval is None:
        shown, drawn, sort = "not measured", "", ""
    else:
        published = None if cell.published is None else cell.published.percent / 100
        shown = f"{cell.rate:.1%}".replace("%", " %")
        drawn = interval_bar(cell.rate, interval, published) + sparkline(cell.history)
        drawn = (
            f'<small class="of">{100 * interval.low:.1f} to {100 * interval.high:.1f}, '
            f"{cell.solved} of {cell.result.n_judged} solved</small>{drawn}"
        )
        sort = f' data-sort="{cell.rate:.6f}" data-column="{escape(f"{column.benchmark}/{column.engine}")}"'
    caveat = f' <span class="chip caveat">{cell.caveat}</span>' if cell.caveat else ""
    if cell.stated:
        caveat += ' <span class="chip other" title="whose answers these are is somebody\'s word">stated</span>'
    kind = cell.standing.value if cell.standing in (Standing.CONSISTENT, Standing.DIFFERS) else "other"
    return (
        f'<td class="rate" {_where(column)}{sort} data-standing="{cell.standing.value}" data-label="{escape(label)}">'
        f'<a href="{escape(evidence_link(cell, folder))}">{shown}</a>{caveat}{drawn}'
        f'<span class="chip {kind}">{escape(cell.verdict)}</span> <small><a href="#{anchor}">how</a></small></td>'
    )


def _pairs(board: Board) -> Iterator[str]:
    if not board.pairs:
        return
    yield "<h2>Engines side by side</h2>"
    yield (
        "<p class=soft>The same problems, asked of the same model in the same way; p by McNemar's exact test, of "
        "several samples by flipping the signs of the problems' differences in rate.</p>"
    )
    yield '<div class="wide"><table id="pairs"><thead><tr><th>Model<th>Benchmark<th>Only one solves it<th>p'
    yield "</tr></thead><tbody>"
    for pair in board.pairs:
        only = "<br>".join(
            f"{escape(engine)}: {len(tasks)}" + (f" ({escape(_some(tasks))})" if tasks else "")
            for engine, tasks in zip(pair.engines, pair.better, strict=True)
        )
        found, about = pair.comparison, f"{pair.row.profile}, {pair.row.decoding}"
        often = "more often: " if isinstance(found, RateComparison) else ""
        yield (
            f'<tr><th scope="row">{escape(pair.row.title)}<small>{escape(about)}</small></th>'
            f'<td data-label="Benchmark">{escape(_title(board, pair.benchmark))}, {found.n} problems</td>'
            f'<td data-label="Only one solves it">{often}{only}</td><td data-label="p">{found.p_value:.3g}</td></tr>'
        )
    yield "</tbody></table></div>"


def _details(board: Board, folder: Path) -> Iterator[str]:
    yield "<h2>How each was measured</h2>"
    for row in board.rows:
        for column, cell in row.cells.items():
            yield from _detail(board, row, column, cell, folder)


def _detail(board: Board, row: Row, column: Column, cell: Cell, folder: Path) -> Iterator[str]:
    run, result = cell.run.results.run, cell.result
    engine = next((one for one in run.engines if one.name == column.engine and not cell.stated), None)
    files_there = cell.run.evidence(result)
    links = ", ".join(f'<a href="{escape(evidence_link(cell, folder, kind))}">{kind}</a>' for kind in files_there)
    commit = f", commit {run.tool.commit[:12]}{' (changed)' if run.tool.dirty else ''}" if run.tool.commit else ""
    facts = {
        "command": f"<code>{escape(cell.run.command)}</code>",
        "files": links,
        "run": escape(f"{run.started}, {run.seconds:.0f} s, {run.machine.processor}, {run.machine.cores} cores"),
        "tool": escape(f"{run.tool.name} {run.tool.version}{commit}, {run.python}"),
        "engine": escape(f"{engine.name} {engine.version}, build {engine.build[:12]}" if engine else column.engine),
        **_answered(run.models, result),
        "data": f"<code>{escape(run.datasets.get(result.name, 'digest not recorded'))}</code>",
        "asked": escape(
            ", ".join(f"{key} {value:g}" for key, value in sorted(result.decoding.items())) or "not stated"
        ),
        "sandbox": escape(run.sandbox or "not stated"),
    }
    if cell.published is not None:
        facts["published"] = escape(f"{cell.published.percent:g} %, {cell.published.words}")
    for k, rate in result.pass_at_k.items():
        one = result.interval[k]
        facts[f"pass@{k}"] = escape(f"{rate:.1%} [{one.low:.1%}, {one.high:.1%}], {one.method}")
    yield f'<details id="{_anchor(board, row, column)}"><summary>{escape(_title(board, column.benchmark))}: '
    yield f"{escape(row.title)}, {escape(row.profile)}, {escape(column.engine)}</summary><dl>"
    for name, words in facts.items():
        yield f"<dt>{name}</dt><dd>{words}</dd>"
    yield "</dl></details>"


def _answered(models: Mapping[str, str], result: BenchmarkResult) -> dict[str, str]:
    """What is known of who answered: the model's digest, or that of the file of completions."""
    given = result.completions
    if given is None:
        return {"model": f"<code>{escape(models.get(result.model, 'digest not recorded'))}</code>"}
    facts = {"completions": f"{escape(given.file)}, sha256 <code>{escape(given.sha256)}</code>"}
    if given.stated:
        facts["stated"] = escape(f"{', '.join(given.stated)}: by whoever scored the file, checked against nothing")
    return facts


def _foot(board: Board) -> Iterator[str]:
    yield "<footer><small>Made by apr-leaderboard from results.json files; nothing is loaded from elsewhere."
    if board.left_out:
        yield f"<br>Left out: {escape('; '.join(board.left_out))}"
    yield "</small></footer>"


def _columns(board: Board, benchmark: str) -> list[Column]:
    return [column for column in board.columns if column.benchmark == benchmark]


def _anchor(board: Board, row: Row, column: Column) -> str:
    return f"m{board.rows.index(row)}-{board.columns.index(column)}"


def _where(column: Column) -> str:
    return f'data-benchmark="{escape(column.benchmark)}" data-engine="{escape(column.engine)}"'


def _title(board: Board, benchmark: str) -> str:
    return board.titles.get(benchmark) or _TITLES.get(benchmark) or benchmark


def _some(tasks: tuple[str, ...]) -> str:
    more = f" and {len(tasks) - _MOST_NAMED} more" if len(tasks) > _MOST_NAMED else ""
    return ", ".join(tasks[:_MOST_NAMED]) + more


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
