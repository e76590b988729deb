"""Finetune with LoRA on instruction/response pairs and merge the adapter into the model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from apr_leaderboard.engine.reference.adapting import adapting
from apr_leaderboard.engine.reference.config import ModelConfig, config_from_hf
from apr_leaderboard.engine.reference.fitting import fit
from apr_leaderboard.engine.reference.lineage import extend_lineage, lineage_text
from apr_leaderboard.engine.reference.lora import save_adapter, write_merged
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.pairs import TokenPairs, read_pairs, tokenize_pairs
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.engine.reference.tokenizer import TextCodec, codec_from_hf
from apr_leaderboard.engine.reference.train import LossLog
from apr_leaderboard.engine.reference.weights import load_hf
from apr_leaderboard.errors import FileFormatError, RequestError
from apr_leaderboard.model.stage import FinetuneParams

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the pairs, and the fields of `FinetuneParams`."""
    parser.add_argument("--model", type=Path, required=True, help="folder in the Hugging Face layout")
    parser.add_argument("--data", type=Path, required=True, help="JSONL of instruction and response")
    parser.add_argument("--method", default="lora")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--alpha", type=float, help="2 x rank when not given")
    parser.add_argument("--learning-rate", type=float, default=1e-4, help="the peak of a warmed-up cosine")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-seq-len", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/model (merged), OUT/adapter and OUT/losses.jsonl."""
    settings = _settings(args)
    if not args.model.is_dir():
        raise RequestError(
            f"{args.model}: finetuning takes a folder in the Hugging Face layout; import the model first"
        )
    source = HfFolder(args.model)
    codec = codec_from_hf(args.model)
    pairs = tokenize_pairs(
        read_pairs(args.data), codec, _end_of_turn(config_from_hf(args.model), codec, args.model), settings.max_seq_len
    )
    config, params = load_hf(args.model)

    log = LossLog(args.out / "losses.jsonl")
    adapter, held = fit(adapting(config, params, pairs, settings), settings, log, report)
    save_adapter(adapter, args.out / "adapter", settings.rank, settings.scale * settings.rank)
    write_merged(source, args.out / "model", adapter, settings.scale)
    lineage = extend_lineage(
        "finetune", settings.model_dump(exclude={"dataset"}), {"model": args.model, "data": args.data}, "model"
    )
    (args.out / "model" / "lineage.json").write_text(lineage_text(lineage), encoding="utf-8")
    return OpResult("model", "hf", {**_figures(log, pairs), **held.figures})


def _figures(log: LossLog, pairs: TokenPairs) -> dict[str, float | int | str | bool]:
    assert log.first is not None
    assert log.last is not None
    return {
        "first_loss": log.first.loss,
        "last_loss": log.last.loss,
        "steps": log.last.step,
        "n_pairs": len(pairs.tokens),
        "n_pairs_cut": pairs.n_cut,
        "n_pairs_skipped": pairs.n_skipped,
        "n_response_tokens": pairs.n_response_tokens,
    }


def _settings(args: argparse.Namespace) -> FinetuneParams:
    values: dict[str, Any] = {name: getattr(args, name) for name in FinetuneParams.model_fields if hasattr(args, name)}
    try:
        return FinetuneParams(dataset=str(args.data), **values)
    except ValidationError as error:
        first = error.errors()[0]
        where = "--" + "-".join(map(str, first["loc"])).replace("_", "-")
        raise RequestError(f"{where}: got {first['input']!r}: {first['msg']}") from None


def _end_of_turn(config: ModelConfig, codec: TextCodec, folder: Path) -> int:
    """The token that ends a turn: the tokenizer's own end token, else the first the model names."""
    ends = (*codec.eos_ids, *config.eos_ids)
    if not ends:
        raise FileFormatError(folder, "eos_token", "the model names no end token", allowed="one that ends an answer")
    return ends[0]
