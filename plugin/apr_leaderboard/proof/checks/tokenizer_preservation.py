"""The tokenizer goes through every change of weights as it came."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof.answering import answer_of, copied, keep, lose_half
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.lab import Lab, Made
from apr_leaderboard.proof.measuring import merged, quantized
from apr_leaderboard.proof.nothere import NotHere

__all__ = ["CHECKS"]

Vocabulary = list[str]


def merge_keeps_the_vocabulary(change: Callable[[Vocabulary], Vocabulary], lab: Lab) -> str:
    """The merged model's tokens are the first model's, each at its id."""
    return _same(change(_vocabulary(merged(lab))), _vocabulary(lab.model()), lab)


def quantising_keeps_the_vocabulary(change: Callable[[Vocabulary], Vocabulary], lab: Lab) -> str:
    """The quantised model's tokens are the source's, each at its id."""
    return _same(change(_vocabulary(quantized(lab, "int4"))), _vocabulary(lab.model()), lab)


def quantised_model_answers(spoil: Any, lab: Lab) -> str:
    """The quantised model answers a prompt: its tokenizer is found and works."""
    return f"{lab.engine.name}: {answer_of(copied(quantized(lab, 'int4'), lab, spoil), lab)}"


def _same(got: Vocabulary, want: Vocabulary, lab: Lab) -> str:
    wrong = [i for i, pair in enumerate(zip(got, want, strict=False)) if pair[0] != pair[1]]
    if not want:
        raise NotHere(f"needs a model that shows its vocabulary: what {lab.engine.name} starts from shows none")
    expect(len(got) == len(want), f"{len(got)} tokens for {len(want)}")
    expect(not wrong, f"token {wrong[0] if wrong else 0} is another")
    return f"{lab.engine.name}: {len(got)} tokens, each at its id"


def _vocabulary(made: Made) -> Vocabulary:
    """Tokens by id, as the checkpoint holds them."""
    if made.checkpoint is None:
        raise HarnessError("the job left no checkpoint")
    path = made.checkpoint.path
    if made.checkpoint.format == "gguf":
        from apr_leaderboard.engine.reference.gguf_file import GgufFile

        return [str(token) for token in GgufFile(path).metadata["tokenizer.ggml.tokens"]]
    if made.checkpoint.format == "apr":
        from apr_leaderboard.engine.apr.apr_format import AprFormatError, read_apr

        try:
            return [str(token) for token in read_apr(path).metadata.get("tokenizer.vocabulary", [])]
        except AprFormatError:  # another format under this name, which holds tensors and no token
            return []
    body = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
    ids = {**body["model"]["vocab"], **{token["content"]: token["id"] for token in body["added_tokens"]}}
    return sorted(ids, key=lambda token: ids[token])


CHECKS: Final = (
    measured("FALSIFY-TOK-001", merge_keeps_the_vocabulary, list, lambda tokens: tokens[:-1]),
    measured(
        "FALSIFY-TOK-002", quantising_keeps_the_vocabulary, list, lambda tokens: [*tokens[1:], *tokens[:1], "one more"]
    ),
    measured("FALSIFY-TOK-003", quantised_model_answers, keep, lose_half),
)
