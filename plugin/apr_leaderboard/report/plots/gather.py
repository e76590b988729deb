"""What recorded runs hold for each picture."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from apr_leaderboard.model.catalogue import Catalogue
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.report.evidence import read_lines
from apr_leaderboard.report.plots import pictures
from apr_leaderboard.report.plots.pictures import SizedScore
from apr_leaderboard.report.plots.style import PALETTE
from apr_leaderboard.report.runs import FoundRuns, RecordedRun, subject_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Picture", "pictures_of"]

_SPEED = re.compile(r"([\d.]+) tokens/s")


@dataclass(frozen=True)
class Picture:
    """A picture that can be made of the runs at hand, or what there would have to be for it."""

    name: str
    draw: Callable[[], Figure] | None
    needs: str = ""


def pictures_of(found: FoundRuns, catalogue: Catalogue | None = None) -> Iterator[Picture]:
    """Every picture by name, a heat map and a size picture for each benchmark.

    Lines are of the newest runs, as many as there are colours to tell them apart; no score is drawn of a run whose
    self-check failed.
    """
    series = dict(list(_samples(found).items())[-len(PALETTE) :])
    yield _picture("pass-at-k", series, pictures.draw_pass_at_k, "a run with --apr-samples 2 or more")
    curves = dict(list(_losses(found).items())[-len(PALETTE) :])
    yield _picture("losses", curves, pictures.draw_losses, "a run of a recipe that trains (losses/*.jsonl)")
    paths = _perplexities(found)
    yield _picture("perplexity", paths, pictures.draw_perplexity, "a recipe with perplexity after two stages")
    speeds = _speeds(found)
    yield _picture("throughput", speeds, pictures.draw_throughput, "a run that generated (progress.jsonl)")
    for benchmark in dict.fromkeys(result.name for _, result in found.evaluations):
        points = _sized(found, benchmark, catalogue)
        more = f"two models of known size on {benchmark}"
        usable = points if len(points) > 1 else []
        yield _picture(f"size-score-{benchmark}", usable, pictures.draw_size_against_score, more)
        runs = _problems(found, benchmark)
        yield _picture(f"problems-{benchmark}", runs, pictures.draw_problems, f"a run of {benchmark}")


def _picture(name: str, data: Any, draw: Callable[[Any], Figure], needs: str) -> Picture:
    return Picture(name, (lambda: draw(data)) if data else None, needs)


def _label(run: RecordedRun, result: BenchmarkResult) -> str:
    return f"{subject_of(result)}, {result.engine} ({run.name})"


def _samples(found: FoundRuns) -> dict[str, list[tuple[int, int]]]:
    series = {}
    for run, result in found.evaluations:
        counts = [(problem.n, problem.c) for problem in result.problems if problem.n]
        if run.results.run.valid and counts and min(n for n, _ in counts) > 1:
            series[f"{result.name}: {_label(run, result)}"] = counts
    return series


def _losses(found: FoundRuns) -> dict[str, list[tuple[int, float]]]:
    curves = {}
    for run in found.runs:
        for file in sorted((run.folder / "losses").glob("*.jsonl")):
            curve = [(int(line["step"]), float(line["loss"])) for line in read_lines(file)]
            if curve:
                curves[f"{file.stem} ({run.name})"] = curve
    return curves


def _perplexities(found: FoundRuns) -> dict[str, list[tuple[str, float]]]:
    """By recipe and engine, every stage that says `perplexity`, in the order they ran."""
    paths: dict[str, list[tuple[str, float]]] = {}
    for run in found.runs:
        for stage in run.results.stages:
            value = stage.figures.get("perplexity")
            if isinstance(value, int | float):
                paths.setdefault(f"{stage.recipe}, {stage.engine} ({run.name})", []).append((stage.stage, float(value)))
    return {name: path for name, path in paths.items() if len(path) > 1}


def _speeds(found: FoundRuns) -> dict[str, float]:
    """The median of what a run's progress said of each work, and what stages measured."""
    speeds: dict[str, float] = {}
    for run in found.runs:
        told: dict[str, list[float]] = {}
        for body in _progress(run):
            value = body.get("figures", {}).get("tokens_per_second")
            match = _SPEED.search(str(body.get("note", "")))
            if isinstance(value, int | float) or match:
                told.setdefault(str(body["label"]), []).append(float(value if match is None else match[1]))
        speeds |= {f"{label} ({run.name})": median(values) for label, values in told.items()}
        for stage in run.results.stages:
            value = stage.figures.get("tokens_per_second")
            if isinstance(value, int | float):
                speeds[f"{stage.stage}, {stage.engine} ({run.name})"] = float(value)
    return {name: value for name, value in speeds.items() if value > 0}


def _progress(run: RecordedRun) -> Iterator[dict[str, Any]]:
    file = run.folder / "progress.jsonl"
    if file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            try:
                body = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            if isinstance(body, dict) and "label" in body:
                yield body


def _sized(found: FoundRuns, benchmark: str, catalogue: Catalogue | None) -> list[SizedScore]:
    """The newest whole measurement of each model whose size is known."""
    points: dict[str, SizedScore] = {}
    for run, result in found.evaluations:
        interval = result.interval.get("1")
        size = _size(run, result, catalogue)
        if result.name == benchmark and result.complete and run.results.run.valid and interval and size:
            name = f"{subject_of(result)}, {result.engine}, {result.profile}"
            points[name] = SizedScore(name, size, result.pass_at_k["1"], interval.low, interval.high)
    return list(points.values())


def _size(run: RecordedRun, result: BenchmarkResult, catalogue: Catalogue | None) -> int | None:
    """What the last stage before the evaluation says of its file, else the catalogue of the model's."""
    sizes = [
        stage.figures["size_bytes"]
        for stage in run.results.stages
        if (stage.recipe, stage.engine, stage.stage) == (result.recipe, result.engine, result.after)
        and "size_bytes" in stage.figures
    ]
    if sizes and isinstance(sizes[-1], int | float):
        return int(sizes[-1])
    entry = None if catalogue is None or result.after not in (None, "import") else catalogue.models.get(result.model)
    if entry is None:
        return None
    known = [facts.bytes for facts in entry.files.values() if facts.bytes is not None]
    return sum(known) or (2 * entry.n_parameters if entry.n_parameters else None)


def _problems(found: FoundRuns, benchmark: str) -> dict[str, dict[str, float]]:
    return {
        _label(run, result): {problem.task_id: problem.c / problem.n for problem in result.problems if problem.n}
        for run, result in found.evaluations
        if result.name == benchmark and run.results.run.valid
    }
