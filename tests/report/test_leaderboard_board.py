"""From recorded runs to the leaderboard's table, and to Markdown and CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import MODEL, Recorder, verdicts_of

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import load_catalogue
from apr_leaderboard.model.results import GivenAnswers
from apr_leaderboard.report import Board, board_of, csv_of, find_runs, markdown_of, page_of, published_for


def _board(recorder: Recorder) -> Board:
    return board_of(find_runs(recorder.root))


def _only(board: Board) -> list[tuple[str, str]]:
    return [(cell.verdict, cell.caveat) for row in board.rows for cell in row.cells.values()]


def test_runs_are_found_oldest_first_and_broken_files_named(recorder: Recorder) -> None:
    """Hidden folders are not looked into; a file of another schema is left out with its reason."""
    for name, day in (("b", 1), ("deep/a", 2), (".hidden/c", 3)):
        recorder.run(name, recorder.evaluation(verdicts_of(1, 2)), day=day)
    (recorder.root / "other").mkdir()
    (recorder.root / "other" / "results.json").write_text('{"schema": 9}')
    found = find_runs(recorder.root)
    assert [run.name for run in found.runs] == ["b", "a"]
    assert len(found.left_out) == 1
    assert "other/results.json: schema" in found.left_out[0]


def test_folder_without_runs_is_refused_in_one_line(tmp_path: Path) -> None:
    """What was got and what is accepted."""
    with pytest.raises(RequestError, match=r"no results.json of schema 1 below it; accepted: what --apr-report wrote"):
        find_runs(tmp_path)
    with pytest.raises(RequestError, match="no folder; accepted"):
        find_runs(tmp_path / "none")


@pytest.mark.parametrize(
    ("solved", "verdict"),
    [(101, "consistent (equal)"), (96, "consistent (-5 problems)"), (60, "differs by 41 problems (-41)")],
)
def test_rate_stands_to_the_published_one(recorder: Recorder, solved: int, verdict: str) -> None:
    """61.6 % of 164 is 101 problems; the measured interval decides."""
    recorder.run("a", recorder.evaluation(verdicts_of(solved, 164)))
    assert _only(_board(recorder)) == [(verdict, "")]


def test_published_rate_is_taken_for_the_nearest_number_of_problems(recorder: Recorder) -> None:
    """70.7 % of 164 is 115.9 problems: 116 is equal to it, 115 one fewer."""
    for day, solved in enumerate((116, 115), 1):
        one = recorder.evaluation(verdicts_of(solved, 164), model="qwen2.5-coder-1.5b-instruct-q4_k_m")
        recorder.run(f"r{day}", one, day=day)
        assert _only(_board(recorder)) == [("consistent (equal)" if day == 1 else "consistent (-1 problem)", "")]


def test_incomplete_invalid_sampled_and_foreign_runs_are_not_judged(recorder: Recorder) -> None:
    """Each says why instead of a verdict."""
    half = verdicts_of(50, 82)
    recorder.run("a", recorder.evaluation(half, n_problems=164, profile="a@1"))
    recorder.run("b", recorder.evaluation(verdicts_of(101, 164), profile="b@1"), valid=False)
    recorder.run("c", recorder.evaluation(verdicts_of(101, 164, 2), profile="c@1", temperature=0.8))
    recorder.run("d", recorder.evaluation(verdicts_of(50, 82), profile="d@1"))
    recorder.run("e", recorder.evaluation(verdicts_of(101, 164), profile="e@1", model="unheard-of"))
    found = {row.profile: _only(Board((row,), _board(recorder).columns, {}))[0] for row in _board(recorder).rows}
    assert found == {
        "a@1": ("not judged", "INCOMPLETE"),
        "b@1": ("not judged", "INVALID"),
        "c@1": ("other decoding", ""),
        "d@1": ("other problems", ""),
        "e@1": ("unpublished", ""),
    }


def test_newest_whole_run_counts_and_earlier_ones_are_its_history(recorder: Recorder) -> None:
    """A later incomplete run does not push a complete one aside."""
    for day, solved in ((3, 90), (1, 80), (2, 100)):
        recorder.run(f"r{day}", recorder.evaluation(verdicts_of(solved, 164)), day=day)
    recorder.run("late", recorder.evaluation(verdicts_of(9, 10), n_problems=164), day=9)
    [row] = _board(recorder).rows
    [cell] = row.cells.values()
    assert cell.solved == 90
    assert [round(rate * 164) for _, rate in cell.history] == [80, 100, 90]


def test_engines_stand_side_by_side_with_the_problems_only_one_solves(recorder: Recorder) -> None:
    """One row, two columns, and McNemar over what flipped."""
    recorder.run("a", recorder.evaluation(verdicts_of(100, 164)), day=1)
    recorder.run("b", recorder.evaluation(verdicts_of(90, 164), engine="apr"), day=2)
    board = _board(recorder)
    assert [(column.benchmark, column.engine) for column in board.columns] == [
        ("humaneval", "apr"),
        ("humaneval", "reference"),
    ]
    [pair] = board.pairs
    assert pair.engines == ("apr", "reference")
    assert [len(tasks) for tasks in pair.better] == [0, 10]
    assert pair.comparison.p_value == pytest.approx(2 / 2**10)


def test_engines_of_several_samples_are_compared_by_rates(recorder: Recorder) -> None:
    """Every problem is solved by some sample of both; one engine does it once of four, the other always."""
    often, seldom = [["passed"] * 4] * 20, [["passed", "wrong", "wrong", "wrong"]] * 20
    recorder.run("a", recorder.evaluation(often, temperature=0.8), day=1)
    recorder.run("b", recorder.evaluation(seldom, temperature=0.8, engine="apr"), day=2)
    [pair] = _board(recorder).pairs
    assert [len(tasks) for tasks in pair.better] == [0, 20]
    assert pair.comparison.p_value < 0.001
    page = page_of(_board(recorder), recorder.root)
    assert "more often: apr: 0<br>reference: 20 (HumanEval/0" in page
    assert '<small>qwen-official@1, T 0.8, 4 samples</small></th><td data-label="Benchmark">' in page


def test_run_that_is_not_valid_stands_beside_no_engine(recorder: Recorder) -> None:
    """Its verdicts say nothing of who solves what."""
    recorder.run("a", recorder.evaluation(verdicts_of(3, 4)), day=1)
    recorder.run("b", recorder.evaluation(verdicts_of(0, 4), engine="apr"), day=2, valid=False)
    assert _board(recorder).pairs == ()


_GIVEN = GivenAnswers(file="answers.jsonl", sha256="ab" * 32, stated=("engine", "model", "decoding"))


def test_stated_run_stands_beside_engines_and_published_figure_and_says_so(recorder: Recorder) -> None:
    """One row, judged like any other; page, Markdown and CSV tell whose word the label is."""
    recorder.run("a", recorder.evaluation(verdicts_of(100, 164)), day=1)
    recorder.run("b", recorder.evaluation(verdicts_of(94, 164), engine="apr", completions=_GIVEN), day=2)
    board = _board(recorder)
    assert [column.engine for column in board.columns] == ["apr", "reference"]
    assert [cell.verdict for cell in board.rows[0].cells.values()] == [
        "consistent (-7 problems)",
        "consistent (-1 problem)",
    ]
    assert "| apr (stated) |" in markdown_of(board, recorder.root)
    stated = {line["engine"]: line["stated"] for line in csv.DictReader(io.StringIO(csv_of(board, recorder.root)))}
    assert stated == {"apr": "True", "reference": "False"}
    page = page_of(board, recorder.root)
    assert page.count(">stated</span>") == 1
    assert f"answers.jsonl, sha256 <code>{_GIVEN.sha256}</code>" in page


def test_run_the_suite_saw_counts_before_a_later_stated_one(recorder: Recorder) -> None:
    """A label that nothing checks does not push a measurement aside; it does push aside one that is not whole."""
    recorder.run("a", recorder.evaluation(verdicts_of(100, 164), engine="apr"), day=1)
    recorder.run("b", recorder.evaluation(verdicts_of(94, 164), engine="apr", completions=_GIVEN), day=2)
    [cell] = _board(recorder).rows[0].cells.values()
    assert (cell.solved, len(cell.history)) == (100, 1)
    recorder.run("a", recorder.evaluation(verdicts_of(9, 10), engine="apr", n_problems=164), day=1)
    [cell] = _board(recorder).rows[0].cells.values()
    assert (cell.solved, cell.stated) == (94, True)


def test_recipe_stages_and_decodings_are_rows_of_their_own(recorder: Recorder) -> None:
    """Before and after a stage, greedy and sampled."""
    recorder.run(
        "a",
        recorder.evaluation(verdicts_of(1, 16), model="m", recipe="recipe-a", after="import"),
        recorder.evaluation(verdicts_of(9, 16), model="m", recipe="recipe-a", after="finetune"),
        recorder.evaluation(verdicts_of(5, 16, 4), model="m", temperature=0.8),
    )
    titles = [(row.title, row.decoding) for row in _board(recorder).rows]
    assert titles == [
        ("m after finetune (recipe-a)", "greedy"),
        ("m", "T 0.8, 4 samples"),
        ("m after import (recipe-a)", "greedy"),
    ]


def test_published_figures_keep_their_number_of_problems(project_root: Path) -> None:
    """MBPP of the report is of EvalPlus' subset, so it is not held against the 500."""
    catalogue = load_catalogue(project_root / "recipes" / "catalogue.yaml")
    found = published_for(MODEL, "mbpp", catalogue)
    assert found is not None
    assert (found.percent, found.n_problems) == (52.4, 378)
    of_field = published_for("qwen2.5-coder-7b-instruct-q4k", "mbpp", catalogue)
    assert of_field is not None
    assert (of_field.percent, of_field.n_problems) == (76.2, 500)
    assert published_for("qwen2.5-coder-7b-instruct-tuned", "mbpp", catalogue) is None


def test_published_figure_stands_also_where_a_row_measured_nothing(recorder: Recorder, project_root: Path) -> None:
    """A model's MBPP figure is known on the row that was asked HumanEval alone."""
    recorder.run("a", recorder.evaluation(verdicts_of(96, 164)))
    recorder.run("b", recorder.evaluation(verdicts_of(9, 20), model="m", benchmark="mbpp"))
    board = board_of(find_runs(recorder.root), load_catalogue(project_root / "recipes" / "catalogue.yaml"))
    [row] = [row for row in board.rows if row.model == MODEL]
    assert [figure and figure.percent for figure in (board.published(row, name) for name in board.benchmarks)] == [
        61.6,
        52.4,
    ]


def test_csv_has_every_measurement_with_full_digits(recorder: Recorder) -> None:
    """Read back, the figures are those of results.json."""
    folder = recorder.run("a", recorder.evaluation(verdicts_of(96, 164)))
    [line] = csv.DictReader(io.StringIO(csv_of(_board(recorder), recorder.root)))
    assert float(line["pass_at_1"]) == 96 / 164
    assert (line["solved"], line["judged"], line["published_percent"]) == ("96", "164", "61.6")
    assert (recorder.root / line["evidence"]).read_text().count("passed") == 96
    assert folder.name in line["evidence"]


@given(st.text(min_size=1, max_size=40))
def test_markdown_table_keeps_its_columns_whatever_the_model_is_called(name: str) -> None:
    """No name can break out of its cell."""
    from apr_leaderboard.report.board.text import _plain

    shown = _plain(name)
    assert "\n" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")


def test_markdown_links_lead_to_the_verdicts(recorder: Recorder) -> None:
    """Relative to the folder the file is to lie in."""
    recorder.run("a", recorder.evaluation(verdicts_of(96, 164)))
    text = markdown_of(_board(recorder), recorder.root)
    assert "[58.5%](a/verdicts/humaneval-" in text
    assert "consistent (-5 problems)" in text
