"""Who does a stage: engines behind one protocol, the jobs they are given, and the one place that starts programs."""

from __future__ import annotations

from apr_leaderboard.engine.backends import on_backend
from apr_leaderboard.engine.jobs import (
    AlignJob,
    BenchJob,
    CheckJob,
    Checkpoint,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    ImportJob,
    InspectJob,
    Job,
    MakeSmokeJob,
    MergeJob,
    PerplexityJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.process import Command, Finished, run_command, shell_quote
from apr_leaderboard.engine.protocol import Engine, OnBackend, Progress, Sink, Watch, ignore_progress
from apr_leaderboard.engine.refusals import refusals_of
from apr_leaderboard.engine.registry import engine_names, make_engine

__all__ = [
    "AlignJob",
    "BenchJob",
    "CheckJob",
    "Checkpoint",
    "Command",
    "CompileJob",
    "DistillJob",
    "Engine",
    "ExportJob",
    "FinetuneJob",
    "Finished",
    "GenerateJob",
    "ImportJob",
    "InspectJob",
    "Job",
    "MakeSmokeJob",
    "MergeJob",
    "OnBackend",
    "PerplexityJob",
    "PrepDataJob",
    "Progress",
    "PruneJob",
    "QuantizeJob",
    "Sink",
    "Watch",
    "engine_names",
    "ignore_progress",
    "make_engine",
    "on_backend",
    "refusals_of",
    "run_command",
    "shell_quote",
]
