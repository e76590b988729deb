"""Make the smoke model: a tokenizer, an architecture, and weights pretrained on text made from a seed."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from apr_leaderboard.engine.reference.hf_files import write_config, write_tokenizer
from apr_leaderboard.engine.reference.lineage import lineage_text
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.pretrain import PretrainPlan, pretrain
from apr_leaderboard.engine.reference.smoke_corpus import documents
from apr_leaderboard.engine.reference.smoke_model import (
    CHAT_TEMPLATE,
    END_OF_TEXT,
    END_OF_TURN,
    initial_params,
    smoke_config,
    token_id,
    train_tokenizer,
    write_weights,
)
from apr_leaderboard.engine.reference.smoke_problems import instruct_rows
from apr_leaderboard.engine.reference.telling import StepTeller
from apr_leaderboard.engine.reference.tokenizer import TextCodec
from apr_leaderboard.engine.reference.train import LossLog

__all__ = ["add_arguments", "run"]

_PLAN: Final = PretrainPlan(steps=400)
_SEED_SHIFT: Final = 100
"""Seeds below it make the tokenizer's text and the held-out text, whatever the model's seed."""
_TOKENS_PER_DOCUMENT: Final = 24
"""Fewer than a document has on average, so that enough are made."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The seed; the number of steps is fixed unless a test wants fewer."""
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the text they are trained on")
    parser.add_argument("--steps", type=int, default=_PLAN.steps, help="of pretraining")


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/model (Hugging Face layout, float32) and OUT/losses.jsonl."""
    plan = PretrainPlan(steps=args.steps)
    tokenizer = train_tokenizer([row["instruction"] for row in instruct_rows()])
    tokens = _token_stream(tokenizer, args.seed, plan.n_tokens)
    config = smoke_config(tokenizer)

    tell = StepTeller(report, "pretrain", plan.steps, 1)
    log = LossLog(args.out / "losses.jsonl")
    params = pretrain(config, initial_params(config, args.seed), tokens, plan, log, tell)
    target: Path = args.out / "model"
    target.mkdir()
    write_weights(config, params, target / "model.safetensors")
    write_config(config, target, "F32")
    write_tokenizer(_codec(tokenizer), target)
    made = {"op": "make-smoke", "engine": "reference", "params": {"seed": args.seed, "steps": args.steps}, "inputs": {}}
    (target / "lineage.json").write_text(lineage_text([made]), encoding="utf-8")
    assert log.first is not None
    assert log.last is not None
    figures = {
        "first_loss": log.first.loss,
        "last_loss": log.last.loss,
        "n_parameters": config.n_parameters,
        "n_tokens": plan.n_tokens,
        "steps": plan.steps,
    }
    return OpResult("model", "hf", figures)


def _token_stream(tokenizer: Tokenizer, seed: int, n_tokens: int) -> NDArray[np.int32]:
    """Documents end to end, each closed by the end-of-text token."""
    end = token_id(tokenizer, END_OF_TEXT)
    texts = documents(_SEED_SHIFT + seed, n_tokens // _TOKENS_PER_DOCUMENT + 100)
    ids = [i for encoding in tokenizer.encode_batch(texts) for i in (*encoding.ids, end)]
    return np.asarray(ids[:n_tokens], np.int32)


def _codec(tokenizer: Tokenizer) -> TextCodec:
    return TextCodec(
        tokenizer=tokenizer,
        token_bytes=(),
        chat_template=CHAT_TEMPLATE,
        bos_text="",
        eos_text=END_OF_TURN,
        eos_ids=(token_id(tokenizer, END_OF_TURN),),
    )
