"""What a recipe comes to: from a recipe to a plan to results, through the store and the engines."""

from __future__ import annotations

from apr_leaderboard.pipeline.binding import export_step
from apr_leaderboard.pipeline.evaluation import Decoding, Evaluation
from apr_leaderboard.pipeline.guard import Guard, judge_alerts
from apr_leaderboard.pipeline.lines import json_line
from apr_leaderboard.pipeline.marks import mark_of
from apr_leaderboard.pipeline.outcomes import evaluation_outcomes, stage_outcomes
from apr_leaderboard.pipeline.plan import Plan, PlannedStage
from apr_leaderboard.pipeline.progress import Post, ProgressReader
from apr_leaderboard.pipeline.score import summarize
from apr_leaderboard.pipeline.scoring import Judged
from apr_leaderboard.pipeline.settings import Settings, Stated
from apr_leaderboard.pipeline.steps import Done, EngineStep, checkpoint_of
from apr_leaderboard.pipeline.workbench import EvaluationScore, Workbench, scores_digest

__all__ = [
    "Decoding",
    "Done",
    "EngineStep",
    "Evaluation",
    "EvaluationScore",
    "Guard",
    "Judged",
    "Plan",
    "PlannedStage",
    "Post",
    "ProgressReader",
    "Settings",
    "Stated",
    "Workbench",
    "checkpoint_of",
    "evaluation_outcomes",
    "export_step",
    "json_line",
    "judge_alerts",
    "mark_of",
    "scores_digest",
    "stage_outcomes",
    "summarize",
]
