"""The runs a folder holds: every results.json below it, oldest first."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import BenchmarkResult, Results
from apr_leaderboard.report.evidence import evaluation_slug
from apr_leaderboard.report.jsonfile import RESULTS, read_results, why_unread

__all__ = ["FoundRuns", "RecordedRun", "decoding_of", "find_runs", "subject_of"]

_EVIDENCE = (("verdicts", ".jsonl"), ("samples", ".jsonl.gz"), ("evidence", ".jsonl.gz"))


@dataclass(frozen=True)
class RecordedRun:
    """One run as it was kept: its folder and what its results.json says."""

    folder: Path
    results: Results

    @property
    def name(self) -> str:
        """The folder's last part, for people."""
        return self.folder.resolve().name

    @property
    def command(self) -> str:
        """The command line that makes the run again, without where its results went."""
        options = dict(self.results.run.options)
        words = ["pytest"]
        if mark := options.pop("markexpr", None):
            words += ["-m", str(mark)]
        if workers := options.pop("numprocesses", None):
            words += ["-n", str(workers)]
        for name, value in sorted(options.items()):
            flag = f"--{name.replace('_', '-')}"
            if isinstance(value, bool):
                words += [flag] if value else []
            else:
                words += [word for one in (value if isinstance(value, list) else [value]) for word in (flag, str(one))]
        return shlex.join(words)

    def evidence(self, result: BenchmarkResult) -> dict[str, Path]:
        """The files that stand behind an evaluation, by kind: results, and whichever of the others are there."""
        slug = evaluation_slug(result.id)
        files = {kind: self.folder / kind / f"{slug}{suffix}" for kind, suffix in _EVIDENCE}
        there = {kind: file for kind, file in files.items() if file.is_file()}
        return {**there, "results": self.folder / RESULTS}


@dataclass(frozen=True)
class FoundRuns:
    """What lies below a folder; `left_out` says, a line each, which files are no results of this schema."""

    runs: tuple[RecordedRun, ...]
    left_out: tuple[str, ...] = ()

    @property
    def evaluations(self) -> Iterator[tuple[RecordedRun, BenchmarkResult]]:
        """Every evaluation of every run, oldest run first."""
        for run in self.runs:
            for result in run.results.benchmarks:
                yield run, result


def find_runs(root: Path) -> FoundRuns:
    """Read every results.json in `root` and below, hidden folders left aside.

    Raises `RequestError` where `root` is no folder, or nothing below it is a run.
    """
    if not root.is_dir():
        raise RequestError(f"{root}: no folder; accepted: a folder with runs written with --apr-report")
    runs, left_out = [], []
    for file in _files(root):
        try:
            runs.append(RecordedRun(file.parent, read_results(file)))
        except (OSError, ValidationError) as error:
            left_out.append(f"{file}: {why_unread(error)}")
    if not runs:
        more = f" ({left_out[0]})" if left_out else ""
        raise RequestError(f"{root}: no results.json of schema 1 below it{more}; accepted: what --apr-report wrote")
    return FoundRuns(tuple(sorted(runs, key=lambda run: (run.results.run.started, str(run.folder)))), tuple(left_out))


def _files(root: Path) -> Iterator[Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        if RESULTS in files:
            yield Path(folder) / RESULTS


def subject_of(result: BenchmarkResult) -> str:
    """What was measured: the model, and after which stage of which recipe."""
    if not result.after:
        return result.model
    return f"{result.model} after {result.after}" + (f" of {result.recipe}" if result.recipe else "")


def decoding_of(result: BenchmarkResult) -> str:
    """How answers were drawn, in words; what was not stated is left out."""
    temperature = result.decoding.get("temperature")
    if temperature is None:
        return "as given" if result.n_samples == 1 else f"as given, {result.n_samples} samples"
    if not temperature:
        return "greedy"
    words = [f"T {temperature:g}"]
    if result.decoding.get("top_p", 1.0) != 1.0:
        words.append(f"top-p {result.decoding['top_p']:g}")
    if result.decoding.get("top_k", 0):
        words.append(f"top-k {result.decoding['top_k']:g}")
    return ", ".join([*words, f"{result.n_samples} sample{'s' if result.n_samples > 1 else ''}"])
