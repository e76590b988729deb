"""What each stage takes: its parameters, as a user writes them in a recipe."""

from __future__ import annotations

from apr_leaderboard.model.stage.artefact import CompileParams, ExportParams, SubmitParams
from apr_leaderboard.model.stage.evaluation import EvalParams
from apr_leaderboard.model.stage.intake import PREPARED, ImportParams, PrepDataParams
from apr_leaderboard.model.stage.names import StageName
from apr_leaderboard.model.stage.training import AlignParams, DistillParams, FinetuneParams
from apr_leaderboard.model.stage.weights import MergeParams, PruneParams, QuantizeParams

__all__ = [
    "PREPARED",
    "AlignParams",
    "CompileParams",
    "DistillParams",
    "EvalParams",
    "ExportParams",
    "FinetuneParams",
    "ImportParams",
    "MergeParams",
    "PrepDataParams",
    "PruneParams",
    "QuantizeParams",
    "StageName",
    "StageParams",
    "SubmitParams",
]

StageParams = (
    AlignParams
    | CompileParams
    | DistillParams
    | EvalParams
    | ExportParams
    | FinetuneParams
    | ImportParams
    | MergeParams
    | PrepDataParams
    | PruneParams
    | QuantizeParams
    | SubmitParams
)
