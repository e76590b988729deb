"""What is given to the hub: the model as SafeTensors, a card with evidence, checks before, a comparison, the upload."""

from __future__ import annotations

from apr_leaderboard.report.submission.card import card_of
from apr_leaderboard.report.submission.checks import Check, check_submission
from apr_leaderboard.report.submission.facts import Input, Submission, inputs_of, submission_of
from apr_leaderboard.report.submission.folder import write_submission
from apr_leaderboard.report.submission.make import Written, make_submission, model_export
from apr_leaderboard.report.submission.remote import Difference, compare_with_hub, upload

__all__ = [
    "Check",
    "Difference",
    "Input",
    "Submission",
    "Written",
    "card_of",
    "check_submission",
    "compare_with_hub",
    "inputs_of",
    "make_submission",
    "model_export",
    "submission_of",
    "upload",
    "write_submission",
]
