"""What we tell whom: the terminal, results.json, progress."""

from __future__ import annotations

from apr_leaderboard.report.board import Board, board_of, csv_of, json_of, markdown_of, page_of, published_for
from apr_leaderboard.report.controller import Controller
from apr_leaderboard.report.detail import Detail, Exhibit, detail_of, leave_detail
from apr_leaderboard.report.evidence import evaluation_slug, read_lines
from apr_leaderboard.report.gatekeeper import Gatekeeper
from apr_leaderboard.report.jsonfile import read_baseline, read_results, why_unread, write_results
from apr_leaderboard.report.payload import attach_payload, leave_payload, payload_left, payload_of, status_of
from apr_leaderboard.report.plantext import plan_lines
from apr_leaderboard.report.run import RunLog, describe_machine, describe_tool, python_version
from apr_leaderboard.report.runs import FoundRuns, RecordedRun, find_runs, subject_of
from apr_leaderboard.report.standing import SoFar, so_far

__all__ = [
    "Board",
    "Controller",
    "Detail",
    "Exhibit",
    "FoundRuns",
    "Gatekeeper",
    "RecordedRun",
    "RunLog",
    "SoFar",
    "attach_payload",
    "board_of",
    "csv_of",
    "describe_machine",
    "describe_tool",
    "detail_of",
    "evaluation_slug",
    "find_runs",
    "json_of",
    "leave_detail",
    "leave_payload",
    "markdown_of",
    "page_of",
    "payload_left",
    "payload_of",
    "plan_lines",
    "published_for",
    "python_version",
    "read_baseline",
    "read_lines",
    "read_results",
    "so_far",
    "status_of",
    "subject_of",
    "why_unread",
    "write_results",
]
