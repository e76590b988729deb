"""A model of the smoke model's kind, smaller still, for tests of training and of moving checkpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer

from apr_leaderboard.engine.reference.config import ModelConfig
from apr_leaderboard.engine.reference.hf_files import write_config, write_tokenizer
from apr_leaderboard.engine.reference.smoke_model import (
    CHAT_TEMPLATE,
    END_OF_TURN,
    initial_params,
    smoke_config,
    token_id,
    train_tokenizer,
    write_weights,
)
from apr_leaderboard.engine.reference.tokenizer import TextCodec

PAIRS = [
    {"instruction": f"Give {name} {n}.", "response": f"```python\n{name} = {n}\n```"}
    for name in ("count", "size", "value")
    for n in range(2, 10)
]


@cache
def tiny_tokenizer() -> Tokenizer:
    """The smoke model's tokenizer, trained once a run."""
    return train_tokenizer([])


def tiny_config() -> ModelConfig:
    """Two layers of width 32."""
    return replace(
        smoke_config(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=48,
        n_layers=2,
        n_heads=2,
        n_kv_heads=1,
        head_dim=16,
    )


def make_trainable(folder: Path, seed: int = 0, *, n_layers: int = 2) -> Path:
    """A Hugging Face folder with random weights, tokenizer and chat template."""
    folder.mkdir(parents=True)
    config, tokenizer = replace(tiny_config(), n_layers=n_layers), tiny_tokenizer()
    write_weights(config, initial_params(config, seed), folder / "model.safetensors")
    write_config(config, folder, "F32")
    end = token_id(tokenizer, END_OF_TURN)
    write_tokenizer(TextCodec(tokenizer, (), CHAT_TEMPLATE, "", END_OF_TURN, (end,)), folder)
    return folder


def write_pairs(path: Path, rows: list[dict[str, str]]) -> Path:
    """As JSONL."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
