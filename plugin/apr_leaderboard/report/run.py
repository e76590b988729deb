"""What happened in a run, gathered from the reports of its items, and what a reader must know to repeat it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from apr_leaderboard import __version__
from apr_leaderboard.model.results import (
    BenchmarkResult,
    CriterionResult,
    EvaluationInfo,
    Machine,
    ObligationResult,
    ProblemResult,
    StageResult,
    Tool,
    TrackedRun,
)
from apr_leaderboard.model.stage import StageName
from apr_leaderboard.pipeline import summarize
from apr_leaderboard.report.standing import SoFar, so_far

__all__ = ["RunLog", "describe_machine", "describe_tool", "python_version"]


@dataclass
class _Tally:
    """One evaluation's problems as they come in, in any order."""

    info: EvaluationInfo
    results: dict[int, ProblemResult] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)


@dataclass
class RunLog:
    """Everything items told, in whatever order workers sent it."""

    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    ks: tuple[int, ...] = (1,)
    sandbox: str | None = None
    invalid: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    datasets: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    _clock: float = field(default_factory=time.monotonic)
    _stages: dict[tuple[str, str, str], StageResult] = field(default_factory=dict)
    _tracked: dict[tuple[str, str], TrackedRun] = field(default_factory=dict)
    _tallies: dict[str, _Tally] = field(default_factory=dict)
    _obligations: dict[tuple[str, str], ObligationResult] = field(default_factory=dict)
    _criteria: dict[tuple[str, str, str, str], CriterionResult] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing of ours ran."""
        return not self._stages and not self._tallies and not self._obligations and not self._criteria

    def add(self, payload: Mapping[str, Any]) -> None:
        """Take in what one item left on its report."""
        self.notices += [line for line in payload.get("notices", ()) if line not in self.notices]
        if "stage" in payload:
            stage = StageResult.model_validate(payload["stage"])
            self._stages[(stage.recipe, stage.engine, stage.stage)] = stage
        if payload.get("tracking"):
            tracked = TrackedRun.model_validate(payload["tracking"])
            self._tracked[(tracked.recipe, tracked.engine)] = tracked
        if "obligation" in payload:
            obligation = ObligationResult.model_validate(payload["obligation"])
            self._obligations[(obligation.contract, obligation.id)] = obligation
        if "criterion" in payload:
            criterion = CriterionResult.model_validate(payload["criterion"])
            self._criteria[criterion.key] = criterion
        if "problem" in payload:
            self._add_problem(payload["problem"])

    def _add_problem(self, body: Mapping[str, Any]) -> None:
        tally = self._tallies.get(body["evaluation"])
        if tally is None:
            tally = self._tallies[body["evaluation"]] = _Tally(EvaluationInfo.model_validate(body["info"]))
        self.sandbox = body.get("sandbox") or self.sandbox
        self.datasets.update(body.get("dataset", {}))
        self.models.update(body.get("model", {}))
        if body.get("invalid"):
            self.invalid.append(body["invalid"])
        if "result" in body:
            tally.results[body["index"]] = ProblemResult.model_validate(body["result"])
        else:
            tally.lost[body["index"]] = body["lost"]

    @property
    def standings(self) -> tuple[SoFar, ...]:
        """How each evaluation stands by now. Asked from another thread while items come in, hence the copies."""
        tallies = [tally for _, tally in sorted(self._tallies.copy().items())]
        found = (
            so_far(one.info, [(problem.n, problem.c) for problem in one.results.copy().values()]) for one in tallies
        )
        return tuple(one for one in found if one is not None)

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return time.monotonic() - self._clock

    @property
    def stages(self) -> tuple[StageResult, ...]:
        """By recipe and engine, and then as stages usually follow: workers report them in any order."""
        order = [stage.value for stage in StageName]
        return tuple(self._stages[key] for key in sorted(self._stages, key=lambda k: (k[0], k[1], order.index(k[2]))))

    @property
    def tracking(self) -> tuple[TrackedRun, ...]:
        """By recipe and engine."""
        return tuple(self._tracked[key] for key in sorted(self._tracked))

    @property
    def obligations(self) -> tuple[ObligationResult, ...]:
        """By contract and id, whoever settled them."""
        return tuple(self._obligations[key] for key in sorted(self._obligations))

    @property
    def criteria(self) -> tuple[CriterionResult, ...]:
        """By criterion, test, engine and model, whoever decided them."""
        return tuple(self._criteria[key] for key in sorted(self._criteria))

    @property
    def benchmarks(self) -> tuple[BenchmarkResult, ...]:
        """Each evaluation summed up; problems in the benchmark's order, whatever the order they were judged in."""
        found = []
        for name in sorted(self._tallies):
            tally = self._tallies[name]
            problems = [tally.results[index] for index in sorted(tally.results)]
            infra = sum(1 for reason in tally.lost.values() if reason.startswith("infra"))
            found.append(summarize(tally.info, problems, self.ks, n_infra=infra))
        return tuple(found)


def describe_machine() -> Machine:
    """This machine, as far as it matters for a result."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError, AttributeError):
        memory = None
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=_processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=memory,
    )


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def describe_tool(root: Path) -> Tool:
    """This program, with the commit of the checkout it runs in where there is one."""
    commit = _git(root, "rev-parse", "HEAD")
    dirty = None if commit is None else bool(_git(root, "status", "--porcelain", "--untracked-files=no"))
    return Tool(version=__version__, commit=commit, dirty=dirty)


def _git(root: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def python_version() -> str:
    """As `python --version` says it, with the implementation."""
    return f"{platform.python_implementation()} {sys.version.split()[0]}"
