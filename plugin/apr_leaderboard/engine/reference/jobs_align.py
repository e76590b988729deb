"""Align with preferences: DPO or ORPO through a low-rank adapter, merged into the model."""

from __future__ import annotations

import argparse
from pathlib import Path

from apr_leaderboard.engine.reference.aligning import aligning, reference_log_probs
from apr_leaderboard.engine.reference.fitting import fit
from apr_leaderboard.engine.reference.lineage import extend_lineage, lineage_text
from apr_leaderboard.engine.reference.lora import save_adapter, write_merged
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.preferences import read_preferences, tokenize_preferences
from apr_leaderboard.engine.reference.train import LossLog
from apr_leaderboard.engine.reference.trainee import (
    add_adapter_arguments,
    add_training_arguments,
    log_figures,
    open_trainee,
    settings_of,
)
from apr_leaderboard.engine.reference.weights import load_hf
from apr_leaderboard.model.stage import AlignParams

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the preferences, and the fields of `AlignParams`."""
    add_training_arguments(parser)
    add_adapter_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="JSONL of prompt, chosen and rejected")
    parser.add_argument("--method", required=True, help="dpo or orpo")
    parser.add_argument(
        "--beta", type=float, default=argparse.SUPPRESS, help="dpo: pull to the start; orpo: weight of the odds (0.1)"
    )


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/model (merged), OUT/adapter and OUT/losses.jsonl."""
    settings = settings_of(AlignParams, args, dataset=str(args.data))
    trainee = open_trainee(args.model, "alignment")
    data = tokenize_preferences(read_preferences(args.data), trainee.codec, trainee.end_id, settings.max_seq_len)
    config, params = load_hf(args.model)
    if settings.method == "dpo":

        def tell(done: int, total: int) -> None:
            report.progress("what the reference says", done, total, "batches")

        data = reference_log_probs(config, params, data, settings.batch_size, tell)
    log = LossLog(args.out / "losses.jsonl")
    adapter, held = fit(aligning(config, params, data, settings), settings, log, report)
    save_adapter(adapter, args.out / "adapter", settings.rank, settings.scale * settings.rank)
    write_merged(trainee.source, args.out / "model", adapter, settings.scale)
    inputs: dict[str, Path] = {"model": args.model, "data": args.data}
    lineage = extend_lineage("align", settings.model_dump(exclude={"dataset"}), inputs, "model")
    (args.out / "model" / "lineage.json").write_text(lineage_text(lineage), encoding="utf-8")
    chosen = data.chosen
    counts = {"n_pairs": len(chosen.tokens), "n_answers_cut": chosen.n_cut, "n_pairs_skipped": chosen.n_skipped}
    return OpResult("model", "hf", {**log_figures(log, held, "margin"), **counts})
