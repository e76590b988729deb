"""May this code run here, and what did it do."""

from __future__ import annotations

from apr_leaderboard.sandbox.box import Sandbox
from apr_leaderboard.sandbox.level import Level, choose_level
from apr_leaderboard.sandbox.limits import Limits
from apr_leaderboard.sandbox.program import Program, SandboxResult, Verdict
from apr_leaderboard.sandbox.view import environment

__all__ = ["Level", "Limits", "Program", "Sandbox", "SandboxResult", "Verdict", "choose_level", "environment"]
