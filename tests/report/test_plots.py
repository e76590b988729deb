"""Pictures: what each shows, that they can be told apart, and that the same data gives the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from recorded import Recorder, verdicts_of

pytest.importorskip("matplotlib", reason="pictures need matplotlib")

from apr_leaderboard.cli import main
from apr_leaderboard.report.plots import (
    PALETTE,
    SizedScore,
    draw_losses,
    draw_pass_at_k,
    draw_perplexity,
    draw_problems,
    draw_size_against_score,
    draw_throughput,
    save,
)


@pytest.fixture
def reports(recorder: Recorder) -> Path:
    """Runs that hold something for every picture."""
    recorder.run("samples", recorder.evaluation([["passed", "wrong"] * 5] * 20, temperature=0.8), day=1, ks=(1, 10))
    bigger = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    recorder.run(
        "greedy",
        recorder.evaluation(verdicts_of(10, 20)),
        recorder.evaluation(verdicts_of(14, 20), model=bigger),
        day=2,
        stages=(
            recorder.stage("import", figures={"perplexity": 11.1}),
            recorder.stage("prune", figures={"perplexity": 11.4}),
        ),
    )
    folder = recorder.root / "greedy"
    (folder / "losses").mkdir()
    steps = [{"step": step, "epoch": 0, "loss": 3.0 / (step + 1)} for step in range(8)]
    (folder / "losses" / "recipe-a-finetune-reference.jsonl").write_text("".join(json.dumps(s) + "\n" for s in steps))
    told = [{"label": "answer humaneval", "note": f"{speed} tokens/s"} for speed in (40.0, 50.0, 60.0)]
    (folder / "progress.jsonl").write_text("".join(json.dumps(t) + "\n" for t in told) + '{"torn')
    return recorder.root


def test_every_picture_is_drawn_as_svg_and_png(reports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One command, six kinds, two formats each; nothing left out."""
    assert main(["plots", "--reports", str(reports), "--json"]) == 0
    told = capsys.readouterr()
    names = {"pass-at-k", "losses", "perplexity", "throughput", "size-score-humaneval", "problems-humaneval"}
    written = json.loads(told.out)
    assert set(written) == names
    assert told.err == ""
    for svg, png in written.values():
        assert Path(svg).read_text().startswith("<?xml")
        assert Path(png).read_bytes().startswith(b"\x89PNG")


def test_pictures_say_what_the_data_say(reports: Path) -> None:
    """The words and figures stand in the SVG as text."""
    assert main(["plots", "--reports", str(reports), "--format", "svg"]) == 0
    text = {file.stem: file.read_text() for file in (reports / "plots").iterdir()}
    assert "50.0" in text["throughput"]
    assert "11.4" in text["perplexity"]
    assert "11.1" in text["perplexity"]
    assert "recipe-a-finetune-reference (greedy)" in text["losses"]
    assert "HumanEval/19" in text["problems-humaneval"]


@pytest.mark.slow
def test_same_runs_give_the_same_svg_in_another_process(reports: Path, tmp_path: Path) -> None:
    """No date, no random id."""
    words = ["plots", "--reports", str(reports), "--format", "svg", "--only", "pass-at-k", "--only", "losses"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    run = f"from apr_leaderboard.cli import main; main({[*words, '--out', str(tmp_path / 'two')]!r})"
    subprocess.run([sys.executable, "-c", run], check=True, capture_output=True, timeout=60)
    for name in ("pass-at-k.svg", "losses.svg"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_missing_data_are_named_and_nothing_is_drawn(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """What a picture would need, one line each."""
    recorder.run("a", recorder.evaluation(verdicts_of(1, 2)))
    assert main(["plots", "--reports", str(recorder.root), "--only", "losses"]) == 0
    assert "losses: left out, it needs a run of a recipe that trains" in capsys.readouterr().err
    assert not (recorder.root / "plots").exists()


def test_scores_of_a_run_that_is_not_valid_are_not_drawn(
    recorder: Recorder, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line of pass@k and no row of problems."""
    recorder.run("broken", recorder.evaluation([["passed", "wrong"]] * 4, temperature=0.8), valid=False)
    assert main(["plots", "--reports", str(recorder.root)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "pass-at-k: left out" in told.err
    assert "problems-humaneval: left out" in told.err


def test_place_that_cannot_be_written_is_one_line(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """What was got and what is accepted."""
    folder = recorder.run("a", recorder.evaluation([["passed", "wrong"]] * 4, temperature=0.8))
    below = folder / "results.json" / "plots"
    assert main(["plots", "--reports", str(recorder.root), "--out", str(below), "--only", "pass-at-k"]) == 2
    assert f"{below}/pass-at-k: cannot be written: Not a directory; accepted: --out DIR" in capsys.readouterr().err


def test_unknown_picture_or_format_is_refused(recorder: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    """One line: what was got, what is accepted."""
    recorder.run("a", recorder.evaluation(verdicts_of(1, 2)))
    assert main(["plots", "--reports", str(recorder.root), "--only", "pie"]) == 2
    assert main(["plots", "--reports", str(recorder.root), "--format", "bmp"]) == 2
    told = capsys.readouterr().err
    assert "--only: got 'pie'; accepted: pass-at-k, losses" in told
    assert "--format: got 'bmp'; accepted: svg, png" in told


def test_pass_at_k_rises_with_k_inside_its_band() -> None:
    """The line drawn is the estimate, from k = 1 to the number of samples."""
    figure = draw_pass_at_k({"a": [(10, 1), (10, 5), (10, 0)]})
    [axes] = figure.axes
    xs, ys = axes.lines[0].get_data()
    assert (xs[0], xs[-1]) == (1, 10)
    assert ys[0] == pytest.approx(20.0)
    assert ys[-1] == pytest.approx(200 / 3)
    assert all(a <= b for a, b in pairwise(ys))
    assert len(axes.collections) == 1


def test_front_joins_only_what_no_smaller_model_betters() -> None:
    """A larger and worse model is drawn, and off the line."""
    points = [SizedScore("s", 1, 0.5, 0.4, 0.6), SizedScore("m", 2, 0.4, 0.3, 0.5), SizedScore("l", 3, 0.7, 0.6, 0.8)]
    [axes] = draw_size_against_score(points).axes
    assert list(axes.lines[0].get_ydata()) == [50.0, 70.0]


def test_heat_map_puts_the_hardest_first_and_unjudged_apart() -> None:
    """A problem that a run did not judge is no zero."""
    figure = draw_problems({"a": {"x": 1.0, "y": 0.0}, "b": {"x": 1.0, "z": 0.5}})
    cells = figure.axes[0].images[0].get_array()
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["y", "z", "x"]
    assert cells is not None
    assert bool(cells.mask[0][1]) or cells[0][1] != cells[0][1]


def test_colours_are_told_apart_without_red_or_green() -> None:
    """Seen with deuteranopia (Viénot et al. 1999, as a matrix on linear RGB), no two colours fall together."""
    import numpy as np

    matrix = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in PALETTE])
    seen = (matrix @ (rgb**2.2).T).T.clip(0, 1) ** (1 / 2.2)
    apart = [float(np.abs(a - b).sum()) for i, a in enumerate(seen) for b in seen[i + 1 :]]
    assert min(apart) > 0.1


@pytest.mark.parametrize(
    "figure",
    [
        lambda: draw_losses({"a": [(0, 3.0), (1, 2.0)]}),
        lambda: draw_perplexity({"a": [("import", 11.0), ("prune", 12.0)]}),
        lambda: draw_throughput({"a": 40.0, "b": 50.0}),
    ],
    ids=["losses", "perplexity", "throughput"],
)
def test_axes_are_named_with_their_unit(figure: object, tmp_path: Path) -> None:
    """Every picture has a title and says what is measured."""
    made = figure()  # type: ignore[operator]
    [axes] = made.axes
    assert axes.get_title(loc="left")
    assert axes.get_ylabel() or axes.get_xlabel()
    assert len(save(made, tmp_path / "x")) == 2
