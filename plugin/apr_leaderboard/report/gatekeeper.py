"""The gate at the end of a run: it decides the exit code, and says why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from apr_leaderboard.criteria import GateName, GateVerdict
from apr_leaderboard.model.results import Results

__all__ = ["Gatekeeper"]


class Gatekeeper:
    """A plugin of its own, registered in the one process that is no worker, where --apr-gate is given."""

    def __init__(
        self, gate: GateName, results: Callable[[], Results | None], judge: Callable[[Results], GateVerdict]
    ) -> None:
        self._gate = gate
        self._results = results
        self._judge = judge
        self._verdict: GateVerdict | None = None

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Decide. What pytest itself could not finish (an interrupt, its own errors, a usage error) stays so."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            return
        results = self._results()
        if results is None:
            self._verdict = GateVerdict(self._gate, 2, ("invalid run: no criterion was asked",))
        else:
            self._verdict = self._judge(results)
        session.exitstatus = self._verdict.exit_code

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what it came to, and why."""
        verdict = self._verdict
        if verdict is None:
            return
        word = {0: "open", 1: "closed", 2: "undecided"}[verdict.exit_code]
        terminalreporter.section(f"gate {verdict.gate}: {word} (exit code {verdict.exit_code})")
        for line in verdict.lines:
            terminalreporter.line(line)
