"""Greedy tokens of the reference engine against llama.cpp's on the same GGUF file and prompts.

    python benchmarks/agree_greedy.py --model M.gguf --llama-python PYTHON [--prompts 20] [--tokens 32]

llama.cpp multiplies quantised weights by activations it has quantised to 8 bits, so it computes slightly other logits;
where two tokens are nearly equal the choice may differ. For each prompt whose tokens differ this prints the first
difference, and by how much the reference's logits prefer its own choice to llama.cpp's. A gap is called a near-tie
when it is under --near-tie. Exit code 1 if nothing was asked, fewer than three quarters agree, or a difference is no
near-tie.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from bench_decode import ask_llama, humaneval_prompts

from apr_leaderboard.engine.reference.jobs_generate import make_requests
from apr_leaderboard.engine.reference.layerwise import hidden_columns, logit_columns
from apr_leaderboard.engine.reference.loader import LoadedModel, load_model

LENGTH_STEP = 128
"""Texts are padded to a multiple of this, so that few lengths are compiled."""


class Difference(NamedTuple):
    """The first place where llama.cpp's token is not the reference's choice, and how much that choice is preferred."""

    step: int
    theirs: str
    ours: str
    gap: float


def first_difference(model: LoadedModel, ids: list[int], answer: list[int]) -> Difference | None:
    """Up to the first difference both have read the same text, so one pass over llama.cpp's answer tells it."""
    text = [*ids, *answer[:-1]]
    padded = np.zeros(-(-len(text) // LENGTH_STEP) * LENGTH_STEP, np.int32)
    padded[: len(text)] = text
    columns = hidden_columns(model.config, model.params, padded)[:, len(ids) - 1 : len(text)]
    logits = np.asarray(logit_columns(model.config, model.params, columns))
    for step, token in enumerate(answer):
        best = int(logits[:, step].argmax())
        if best != token:
            theirs, ours = (model.codec.decode_bytes([i]).decode("utf-8", "replace") for i in (token, best))
            return Difference(step, theirs, ours, float(logits[best, step] - logits[token, step]))
    return None


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--llama-python", default=os.environ.get("LLAMA_PYTHON"))
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument(
        "--profile", default="qwen-official", help="of prompts; under standard a model writes more freely"
    )
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--near-tie", type=float, default=0.5, help="largest gap between logits that is a near-tie")
    parser.add_argument("--threads", type=int, default=0, help="of llama.cpp; its threads wait by spinning")
    args = parser.parse_args()
    if not args.llama_python:
        parser.error("name a Python that has llama-cpp-python with --llama-python or LLAMA_PYTHON")
    model = load_model(args.model)
    requests = make_requests(model, humaneval_prompts(args.prompts, args.profile))
    ids = [list(request.ids) for request in requests]
    peer = ask_llama(args.llama_python, args.model, ids, args.tokens, list(model.config.eos_ids), args.threads)
    agreed, clear = 0, 0
    for request, answer in zip(requests, peer["answers"], strict=True):
        found = first_difference(model, list(request.ids), answer["tokens"])
        agreed += found is None
        clear += found is not None and not found.gap < args.near_tie
        told = (
            "same"
            if found is None
            else f"step {found.step}: theirs {found.theirs!r}, ours {found.ours!r}, gap {found.gap:.4f}"
        )
        print(f"{request.prompt.task_id:14} {len(answer['tokens']):3} tokens  {told}", flush=True)
    print(f"{agreed} of {len(requests)} agree; differences that are no near-tie (gap >= {args.near_tie}): {clear}")
    return int(not requests or agreed * 4 < len(requests) * 3 or clear > 0)


if __name__ == "__main__":
    sys.exit(main())
