"""Finetune on instruction/response pairs: LoRA or QLoRA, merged into the model, or every weight."""

from __future__ import annotations

import argparse
from pathlib import Path

from apr_leaderboard.engine.reference.finetuning import adapter_finetuning, full_finetuning
from apr_leaderboard.engine.reference.fitting import Held, fit
from apr_leaderboard.engine.reference.lineage import extend_lineage, lineage_text
from apr_leaderboard.engine.reference.lora import save_adapter, write_merged
from apr_leaderboard.engine.reference.nf4 import nf4_of, through_nf4
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.pairs import TokenPairs, read_pairs, tokenize_pairs
from apr_leaderboard.engine.reference.train import LossLog
from apr_leaderboard.engine.reference.trainee import (
    Trainee,
    add_adapter_arguments,
    add_training_arguments,
    log_figures,
    open_trainee,
    settings_of,
)
from apr_leaderboard.engine.reference.weights import load_hf, write_trained
from apr_leaderboard.model.stage import FinetuneParams

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the pairs, and the fields of `FinetuneParams`."""
    add_training_arguments(parser)
    add_adapter_arguments(parser)
    parser.add_argument("--data", type=Path, required=True, help="JSONL of instruction and response")
    parser.add_argument("--method", default="lora", help="lora, qlora or full")
    parser.add_argument(
        "--response-only",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether only the response's tokens count, or the instruction's as well",
    )


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/model (merged), OUT/losses.jsonl and, unless every weight is trained, OUT/adapter."""
    settings = settings_of(FinetuneParams, args, dataset=str(args.data))
    trainee = open_trainee(args.model, "finetuning")
    pairs = tokenize_pairs(
        read_pairs(args.data),
        trainee.codec,
        trainee.end_id,
        settings.max_seq_len,
        response_only=settings.response_only,
    )
    log = LossLog(args.out / "losses.jsonl")
    train = _train_all if settings.method == "full" else _train_adapter
    held = train(trainee, pairs, settings, log, report)
    lineage = extend_lineage(
        "finetune", settings.model_dump(exclude={"dataset"}), {"model": args.model, "data": args.data}, "model"
    )
    (args.out / "model" / "lineage.json").write_text(lineage_text(lineage), encoding="utf-8")
    return OpResult("model", "hf", {**log_figures(log, held), **_counts(pairs)})


def _train_adapter(
    trainee: Trainee, pairs: TokenPairs, settings: FinetuneParams, log: LossLog, report: Reporter
) -> Held:
    """Train beside frozen weights and merge into the ones it was trained beside, so that nothing shifts in merging.

    For QLoRA those are the weights that NF4 stands for, as in PEFT's merge; they are not put back into four bits.
    """
    out = log.path.parent
    folder, in_nf4 = trainee.source.folder, settings.method == "qlora"
    _, params = load_hf(folder, hold=nf4_of) if in_nf4 else load_hf(folder)
    adapter, held = fit(adapter_finetuning(trainee.config, params, pairs, settings), settings, log, report)
    save_adapter(adapter, out / "adapter", settings.rank, settings.scale * settings.rank)
    if in_nf4:
        write_merged(trainee.source, out / "model", adapter, settings.scale, through_nf4)
    else:
        write_merged(trainee.source, out / "model", adapter, settings.scale)
    return held


def _train_all(trainee: Trainee, pairs: TokenPairs, settings: FinetuneParams, log: LossLog, report: Reporter) -> Held:
    _, params = load_hf(trainee.source.folder)
    trained, held = fit(full_finetuning(trainee.config, params, pairs, settings), settings, log, report)
    write_trained(trainee.source, log.path.parent / "model", trainee.config, trained)
    return held


def _counts(pairs: TokenPairs) -> dict[str, int]:
    return {
        "n_pairs": len(pairs.tokens),
        "n_pairs_cut": pairs.n_cut,
        "n_pairs_skipped": pairs.n_skipped,
        "n_counted_tokens": pairs.n_counted,
    }
