"""One function a picture: data in, figure out. Rates are fractions in, percent on the axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from apr_leaderboard.bench import intervals_for, mean_pass_at_k
from apr_leaderboard.report.plots.style import MARKERS, PALETTE, drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import Locator

__all__ = [
    "SizedScore",
    "draw_losses",
    "draw_pass_at_k",
    "draw_perplexity",
    "draw_problems",
    "draw_size_against_score",
    "draw_throughput",
]

_MOST_K = 12
"""More than these many k are drawn at steps between, so that a bootstrap for each stays quick."""


@dataclass(frozen=True)
class SizedScore:
    """A model's size in bytes, its pass@1, and the 95 % interval of it, fractions."""

    name: str
    size_bytes: int
    rate: float
    low: float
    high: float


def draw_pass_at_k(series: Mapping[str, Sequence[tuple[int, int]]]) -> Figure:
    """pass@k over k, a line and its 95 % band for each name; the data are (n, c) of every problem, n at least 2."""
    with drawing("pass@k", "k, samples a problem", "problems solved, %") as (figure, axes):
        for place, (name, counts) in enumerate(series.items()):
            most = min(n for n, _ in counts)
            ks = sorted({1 + round(step * (most - 1) / _MOST_K) for step in range(_MOST_K + 1)})
            rates = [100 * mean_pass_at_k(counts, k) for k in ks]
            bands = intervals_for(counts, ks)
            colour = _line(axes, place, name, ks, rates)
            axes.fill_between(ks, [100 * b.low for b in bands], [100 * b.high for b in bands], alpha=0.2, color=colour)
        axes.set_ylim(0, 100)
        axes.xaxis.set_major_locator(_whole_numbers())
        axes.legend(loc="best")
    return figure


def draw_losses(curves: Mapping[str, Sequence[tuple[int, float]]]) -> Figure:
    """Training loss (nats a token) over steps."""
    with drawing("Training loss", "step", "loss, nats a token") as (figure, axes):
        for place, (name, curve) in enumerate(curves.items()):
            colour = PALETTE[place % len(PALETTE)]
            style = ("-", "--", ":", "-.")[place % 4]
            axes.plot([s for s, _ in curve], [v for _, v in curve], style, color=colour, label=name, linewidth=1.5)
        axes.set_ylim(bottom=0)
        axes.legend(loc="best")
    return figure


def draw_perplexity(paths: Mapping[str, Sequence[tuple[str, float]]]) -> Figure:
    """Perplexity after each stage of a recipe; stages in the recipe's order."""
    with drawing("Perplexity along the stages", "", "perplexity") as (figure, axes):
        for place, (name, path) in enumerate(paths.items()):
            _line(axes, place, name, [stage for stage, _ in path], [value for _, value in path])
            for stage, value in path:
                axes.annotate(f"{value:#.3g}", (stage, value), (0, 7), textcoords="offset points", ha="center")
        axes.margins(x=0.1, y=0.2)
        axes.legend(loc="best")
    return figure


def draw_size_against_score(points: Sequence[SizedScore]) -> Figure:
    """Size against pass@1 with intervals; a line joins what no smaller model betters (the Pareto front)."""
    with drawing("Size against score", "size, GB", "pass@1, %") as (figure, axes):
        ordered = sorted(points, key=lambda one: (one.size_bytes, -one.rate))
        front: list[SizedScore] = []
        for one in ordered:
            if not front or one.rate > front[-1].rate:
                front.append(one)
        axes.plot([p.size_bytes / 1e9 for p in front], [100 * p.rate for p in front], color="#9aa2ab", zorder=1)
        for place, one in enumerate(ordered):
            error = [[100 * (one.rate - one.low)], [100 * (one.high - one.rate)]]
            axes.errorbar(
                one.size_bytes / 1e9,
                100 * one.rate,
                yerr=error,
                fmt=MARKERS[place % len(MARKERS)],
                color=PALETTE[place % len(PALETTE)],
                capsize=3,
                label=one.name,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
        axes.set_ylim(0, 100)
        axes.legend(loc="best", fontsize=8)
    return figure


def draw_throughput(speeds: Mapping[str, float]) -> Figure:
    """Tokens a second, a bar for each name, the fastest on top."""
    height = 1.2 + 0.42 * len(speeds)
    with drawing("Throughput", "tokens a second", "", (7.0, height)) as (figure, axes):
        ordered = sorted(speeds.items(), key=lambda item: item[1])
        bars = axes.barh([name for name, _ in ordered], [value for _, value in ordered], color=PALETTE[0], height=0.6)
        axes.bar_label(bars, fmt="%.1f", padding=4)
        axes.margins(x=0.12)
        axes.grid(visible=False, axis="y")
    return figure


def draw_problems(runs: Mapping[str, Mapping[str, float]]) -> Figure:
    """Every problem over the runs: the share of its samples that passed, hardest first; white was not judged."""
    solved = {task: _mean([run[task] for run in runs.values() if task in run]) for run in runs.values() for task in run}
    place = {task: number for number, task in enumerate(solved)}
    tasks = sorted(solved, key=lambda task: (solved[task], place[task]))
    cells = [[run.get(task, float("nan")) for task in tasks] for run in runs.values()]
    # Names stand at the left at about 0.085 inches a letter; what is left is the tasks'.
    width = min(20.0, 1.2 + 0.085 * max(map(len, runs)) + max(4.0, 0.06 * len(tasks)))
    height = 1.9 + 0.35 * len(runs)
    with drawing("Problems over runs", "", "", (width, height)) as (figure, axes):
        image = axes.imshow(cells, aspect="auto", interpolation="none", cmap="cividis", vmin=0, vmax=1)
        axes.set_yticks(range(len(runs)), list(runs))
        every = max(1, len(tasks) // 40)
        axes.set_xticks(range(0, len(tasks), every), tasks[::every], rotation=90, fontsize=6)
        axes.grid(visible=False)
        # As wide whatever the height; without a grid, which the layout would have to share.
        bar = figure.colorbar(image, ax=axes, ticks=[0, 0.5, 1], pad=0.01, aspect=height / 0.2, use_gridspec=False)
        bar.set_label("samples passed")
    return figure


def _whole_numbers() -> Locator:
    from matplotlib.ticker import MaxNLocator  # here, so that matplotlib is loaded only when something is drawn

    return MaxNLocator(integer=True)


def _line(axes: Axes, place: int, name: str, across: Sequence[object], up: Sequence[float]) -> str:
    colour = PALETTE[place % len(PALETTE)]
    axes.plot(across, up, marker=MARKERS[place % len(MARKERS)], color=colour, label=name)  # type: ignore[arg-type]
    return colour


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
