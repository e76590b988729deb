"""Texts to measure on, and what the reference makes of them."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import PerplexityJob, ignore_progress
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.kernels import decoder
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.weights import read_tensors

__all__ = [
    "HELD_OUT",
    "greedy_of_the_oracle",
    "held_out_text",
    "need_hf",
    "oracle_logits",
    "oracle_perplexity",
    "perplexity_of",
    "token_ids",
]

HELD_OUT: Final = 700
"""Characters of the held-out text that fit one window of every engine and model."""
_WINDOW: Final = 512

Floats = NDArray[np.float64]


def held_out_text(trial: Trial, characters: int) -> str:
    """The beginning of the text that the smoke model was not trained on, cut at a line's end."""
    file = trial.root / "recipes" / "data" / "smoke-heldout.txt"
    if not file.is_file():
        raise HarnessError(f"{file}: no such file")
    whole = file.read_text(encoding="utf-8")
    return whole[: whole.index("\n", characters) + 1]


def perplexity_of(trial: Trial, made: Made, text: str) -> tuple[float, int]:
    """The engine's figure for a text in one window, and how many tokens it counts."""
    data = trial.file("text.txt", text)
    params = {"window": _WINDOW, "max_tokens": _WINDOW}
    job = trial.make(lambda found: PerplexityJob(found[0], data, **params), params, [made], data)
    figures = {} if job.record is None else job.record.figures
    return float(figures["perplexity"]), int(figures["n_tokens"])


def oracle_perplexity(trial: Trial, text: str, made: Made | None = None) -> tuple[float, int]:
    """The same by an independent hand: float64 on a model of the Hugging Face layout, else the reference engine."""
    source = made or trial.source()
    if source.checkpoint is not None and source.checkpoint.format == "hf":
        tokens = token_ids(source, text)
        table = decoder.log_softmax(oracle_logits(source, tokens))
        losses = [-float(table[at, token]) for at, token in enumerate(tokens[1:])]
        return math.exp(sum(losses) / len(losses)), len(losses)
    found: dict[str, Any] = trial.remember(
        "reference perplexity",
        {"model": source.upstream.key, "text": trial.file("text.txt", text).parent.name},
        lambda: _by_the_reference(trial, source, text),
    )
    return float(found["perplexity"]), int(found["n_tokens"])


def oracle_logits(made: Made, tokens: list[int]) -> Floats:
    """Logits [T, V] in float64 of a small model in the Hugging Face layout."""
    assert made.checkpoint is not None
    config = json.loads((made.checkpoint.path / "config.json").read_text(encoding="utf-8"))
    return decoder.forward(config, read_tensors(made.checkpoint), tokens)


def greedy_of_the_oracle(made: Made, text: str, n_tokens: int) -> tuple[str, list[str]]:
    """What float64 says greedily after a text, and its five likeliest first tokens. Ends at the end of a turn.

    Raises as `need_hf`.
    """
    from tokenizers import Tokenizer

    need_hf(made)
    assert made.checkpoint is not None
    config = json.loads((made.checkpoint.path / "config.json").read_text(encoding="utf-8"))
    tensors, tokens = read_tensors(made.checkpoint), token_ids(made, text)
    tokenizer = Tokenizer.from_file(str(made.checkpoint.path / "tokenizer.json"))
    said: list[int] = []
    best: list[str] = []
    for _ in range(n_tokens):
        logits = decoder.forward(config, tensors, [*tokens, *said])[-1]
        best = best or [tokenizer.decode([int(token)]) for token in np.argsort(-logits)[:5]]
        token = int(logits.argmax())
        if token == config.get("eos_token_id"):
            break
        said.append(token)
    return str(tokenizer.decode(said)), best


def need_hf(made: Made) -> None:
    """Raise `NotHere` for a model that is no folder in the Hugging Face layout, the one that this side can follow."""
    if made.checkpoint is None or made.checkpoint.format != "hf":
        raise NotHere("needs a source in the Hugging Face layout, which float64 can follow: --apr-model a folder")


def token_ids(made: Made, text: str) -> list[int]:
    """By the tokenizers library and the model's own tokenizer.json. Raises as `need_hf`."""
    from tokenizers import Tokenizer

    need_hf(made)
    assert made.checkpoint is not None
    ids: list[int] = Tokenizer.from_file(str(made.checkpoint.path / "tokenizer.json")).encode(text).ids
    if len(ids) < 2:
        raise Refuted(f"a text of {len(ids)} tokens predicts nothing")
    return ids


def _by_the_reference(trial: Trial, source: Made, text: str) -> dict[str, Any]:
    assert source.checkpoint is not None
    out = trial.folder / f"reference-{source.upstream.key[:12]}"
    out.mkdir(exist_ok=True)
    job = PerplexityJob(source.checkpoint, trial.file("text.txt", text), window=_WINDOW, max_tokens=_WINDOW)
    return dict(trial.workbench.engine("reference").run(job, out, ignore_progress).figures)
