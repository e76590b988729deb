"""`apr-leaderboard sweep`: prompt profiles by temperatures on one model and benchmark, one table at the end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from apr_leaderboard.bench import profile_named
from apr_leaderboard.cli.figures import aligned, format_rate
from apr_leaderboard.cli.grouped import grouped
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.report import read_results

__all__ = ["sweep"]


@dataclass(frozen=True)
class _Point:
    """One way of asking. Greedy needs one sample, whatever the others take."""

    prompt: str
    temperature: float
    samples: int

    @property
    def name(self) -> str:
        """As a folder."""
        return re.sub(r"[^\w.@-]+", "-", f"{self.prompt}-t{self.temperature:g}-n{self.samples}")

    @property
    def options(self) -> dict[str, str | None]:
        """As pytest is given them; None: not given, being the default."""
        ks = ",".join(str(k) for k in (1, 10, 100) if k <= self.samples)
        return {
            "apr_prompt": self.prompt,
            "apr_temperature": f"{self.temperature:g}" if self.temperature else None,
            "apr_samples": str(self.samples) if self.samples > 1 else None,
            "apr_k": ks if self.samples > 1 else None,
        }


@dataclass(frozen=True)
class _Request:
    """What is the same for every point."""

    model: str
    benchmark: str
    engines: tuple[str, ...]
    more: tuple[str, ...]
    out: Path

    def command(self, point: _Point) -> list[str]:
        """The run of one point; generations are shared through the store with any other run of the same."""
        words = [sys.executable, "-m", "pytest", "-m", self.benchmark.replace("-", "_"), f"--apr-model={self.model}"]
        words += [f"--apr-engine={engine}" for engine in self.engines]
        words += [f"--{key.replace('_', '-')}={value}" for key, value in point.options.items() if value is not None]
        return [*words, *self.more, f"--apr-report={self.out / point.name}"]


@dataclass(frozen=True)
class _Asked:
    """What `sweep` is asked."""

    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="What to ask, such as humaneval.")]
    model: Annotated[str, typer.Option(help="A catalogue name, a path, or hf://owner/name@revision/file.")]
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where reports go; reports/sweep/BENCHMARK when not given."),
    ] = None
    prompts: Annotated[str, typer.Option(help="Prompt profiles, commas between.")] = "standard"
    temperatures: Annotated[str, typer.Option(help="Temperatures, commas between; 0 is greedy.")] = "0"
    samples: Annotated[int, typer.Option(min=1, help="Samples a problem where the temperature is above 0.")] = 1
    engine: Annotated[list[str] | None, typer.Option(help="The engine; repeat for more.")] = None
    again: Annotated[bool, typer.Option("--again", help="Run points that are done once more.")] = False
    pytest_option: Annotated[
        list[str] | None, typer.Option("--pytest-option", help="Handed on, such as --apr-limit=20; repeat.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False


@grouped
def sweep(asked: _Asked) -> None:
    """Ask one model in several ways, a pytest run each, and put what came of it into one table.

    Started again, it goes on where it was: finished points are read from their reports, and within a point the store
    has every answer that was made. Exit code 1: a point failed, its log says why.
    """
    out = asked.out or Path("reports") / "sweep" / asked.benchmark
    more = tuple(asked.pytest_option or ())
    request = _Request(asked.model, asked.benchmark, tuple(asked.engine or ()), more, out)
    points = _points(asked.prompts, asked.temperatures, asked.samples)
    failed, rows = [], []
    for point in points:
        found = None if asked.again else _done(request, point)
        if found is None:
            typer.echo(f"{point.name}: running", err=True)
            found = _run(request, point)
        else:
            typer.echo(f"{point.name}: done before", err=True)
        if found is None:
            failed.append(point.name)
        rows += [(point, result) for result in found or ()]
    typer.echo(json.dumps([_body(*row) for row in rows], indent=1) if asked.as_json else "\n".join(_table(rows)))
    for name in failed:
        typer.echo(f"failed: {name}: see {out / name}.log", err=True)
    if failed:
        raise typer.Exit(1)


def _points(prompts: str, temperatures: str, samples: int) -> list[_Point]:
    """Every prompt at every temperature. Raises `RequestError` for what is none."""
    found = []
    for text in temperatures.split(","):
        try:
            temperature = float(text)
        except ValueError:
            temperature = -1.0
        if not 0 <= temperature <= 100:
            raise RequestError(f"--temperatures: got {text!r}; accepted: numbers from 0 to 100, such as 0,0.2,0.8")
        found.append(temperature)
    names = [profile_named(name.strip()).name for name in prompts.split(",")]
    return [_Point(name, one, samples if one else 1) for name in dict.fromkeys(names) for one in dict.fromkeys(found)]


def _done(request: _Request, point: _Point) -> Sequence[BenchmarkResult] | None:
    """What a finished run of the very same request left; None where it is to be run."""
    try:
        results = read_results(request.out / point.name)
        asked = (request.out / f"{point.name}.command").read_text(encoding="utf-8")
    except (OSError, ValidationError):
        return None
    whole = results.run.valid and bool(results.benchmarks) and all(one.n_judged for one in results.benchmarks)
    finished = all(one.n_judged == one.n_problems for one in results.benchmarks)
    return results.benchmarks if whole and finished and asked == _words(request, point) else None


def _words(request: _Request, point: _Point) -> str:
    return json.dumps(request.command(point)[1:])


def _run(request: _Request, point: _Point) -> Sequence[BenchmarkResult] | None:
    """Run a point, its output into a log beside its report. None where it failed."""
    request.out.mkdir(parents=True, exist_ok=True)
    with (request.out / f"{point.name}.log").open("wb") as log:
        # Standard error stays the user's: the progress line belongs there.
        code = subprocess.run(request.command(point), stdout=log, check=False).returncode
    if code != 0:
        return None
    (request.out / f"{point.name}.command").write_text(_words(request, point), encoding="utf-8")
    return read_results(request.out / point.name).benchmarks


def _body(point: _Point, result: BenchmarkResult) -> dict[str, Any]:
    kept = {"pass_at_k", "interval", "n_judged", "n_problems", "n_samples", "complete"}
    return {
        "prompt": point.prompt,
        "temperature": point.temperature,
        "engine": result.engine,
        "solved": sum(one.c > 0 for one in result.problems),
        **result.model_dump(mode="json", include=kept),
        "report": point.name,
    }


def _table(rows: Sequence[tuple[_Point, BenchmarkResult]]) -> list[str]:
    best = max((result.pass_at_k.get("1", 0.0) for _, result in rows), default=0.0)
    lines = [("PROMPT", "T", "SAMPLES", "ENGINE", "PASS@1", "MORE", "JUDGED", "")]
    for point, result in rows:
        more = ", ".join(f"pass@{k} {rate:.1%}" for k, rate in result.pass_at_k.items() if k != "1")
        lines.append(
            (
                point.prompt,
                f"{point.temperature:g}",
                str(result.n_samples),
                result.engine,
                format_rate(result.pass_at_k.get("1"), result.interval.get("1")),
                more or "-",
                f"{result.n_judged}/{result.n_problems}" + ("" if result.complete else " INCOMPLETE"),
                "best" if result.pass_at_k.get("1") == best else "",
            )
        )
    return aligned(lines)
