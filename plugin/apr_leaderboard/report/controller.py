"""The controller's ear: gathers what items found, whoever ran them, and tells it at the end."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.errors import AprLeaderboardError
from apr_leaderboard.model.results import Results, RunInfo
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.report.evidence import write_evidence
from apr_leaderboard.report.jsonfile import write_results
from apr_leaderboard.report.payload import payload_of
from apr_leaderboard.report.progressline import ProgressLine, ProgressStream
from apr_leaderboard.report.run import RunLog, describe_machine, describe_tool, python_version
from apr_leaderboard.report.terminal import summary_lines

__all__ = ["Controller"]


class Controller:
    """A plugin of its own, registered in the one process that is no worker."""

    def __init__(
        self,
        config: pytest.Config,
        report: Path | None,
        ks: tuple[int, ...],
        workbench: Callable[[], Workbench | None],
        run_folder: Path,
    ) -> None:
        self._config = config
        self._report = report
        self._workbench = workbench
        self._run_folder = run_folder
        self._log = RunLog(ks=ks)
        stream = None if report is None else ProgressStream(report)
        self._progress = ProgressLine(run_folder / "progress", lambda: self._log.standings, stream)
        self._progress.start()
        self._results: Results | None = None
        self._report_line = ""

    @property
    def results(self) -> Results | None:
        """The run's results, once the session has ended; None where nothing of ours ran."""
        return self._results

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what one item left."""
        payload = payload_of(report)
        if payload is not None:
            self._log.add(payload)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Sum up, write the report, and fail a run whose numbers do not count."""
        self._progress.stop()
        del exitstatus
        if self._log.empty:
            return
        self._results = self._sum_up()
        if self._log.invalid and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if self._report is not None:
            try:
                self._report_line = f"report: {self._write(self._report, self._results)}"
            except (OSError, AprLeaderboardError) as error:
                self._report_line = f"REPORT NOT WRITTEN: {error}; run again, it is made of what the store has"
                session.exitstatus = pytest.ExitCode.INTERNAL_ERROR

    def _write(self, folder: Path, results: Results) -> Path:
        written = write_results(folder, results)
        workbench = self._workbench()
        if workbench is not None:
            write_evidence(folder, workbench)
        return written

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what it came to."""
        if self._results is None:
            return
        terminalreporter.section("apr-leaderboard")
        for line in self._log.invalid[:20]:
            terminalreporter.line(f"INVALID RUN: {line}")
        if self._log.invalid:
            terminalreporter.line("a self-check failed: no score of this run counts")
        for line in summary_lines(self._results, self._log.ks):
            terminalreporter.line(line)
        if self._report_line:
            terminalreporter.line(self._report_line)

    def pytest_unconfigure(self) -> None:
        """Stop the progress line and remove what the run left for it."""
        self._progress.stop()
        shutil.rmtree(self._run_folder, ignore_errors=True)

    def _sum_up(self) -> Results:
        workbench = self._workbench()
        log = self._log
        return Results(
            run=RunInfo(
                tool=describe_tool(self._config.rootpath),
                engines=() if workbench is None else workbench.identities(),
                python=python_version(),
                machine=describe_machine(),
                datasets=log.datasets,
                models=log.models,
                options=_options(self._config),
                sandbox=log.sandbox,
                valid=not log.invalid,
                notes=tuple(log.notices),
                started=log.started.isoformat(timespec="seconds"),
                seconds=round(log.seconds, 3),
            ),
            stages=log.stages,
            tracking=log.tracking,
            benchmarks=log.benchmarks,
            obligations=log.obligations,
            criteria=log.criteria,
        )


def _options(config: pytest.Config) -> dict[str, Any]:
    """The --apr-* options that were given, as typed, and pytest's own that select and spread the work.

    Where results are kept says nothing about them, and which program `apr` was its digest says better than its path.
    """
    given = {name: value for name, value in vars(config.option).items() if name.startswith("apr_") and value}
    given = {name: value for name, value in given.items() if name not in ("apr_store", "apr_report", "apr_bin")}
    more = {"markexpr": config.option.markexpr or None, "numprocesses": getattr(config.option, "numprocesses", None)}
    return {
        key: value if isinstance(value, str | int | float | bool | list) else str(value)
        for key, value in {**given, **more}.items()
        if value is not None
    }
