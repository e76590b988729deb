"""Decode throughput: with every slot in use, or of prompts one after another, plainly and with drafts."""

from __future__ import annotations

import argparse
from pathlib import Path

import jax

from apr_leaderboard.engine.reference.cache import WIDTH
from apr_leaderboard.engine.reference.decode import Decoder, DecodeTimes
from apr_leaderboard.engine.reference.jobs_generate import draft_figures, make_requests
from apr_leaderboard.engine.reference.loader import LoadedModel, load_model
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.prompt_file import read_prompts
from apr_leaderboard.engine.reference.racing import race
from apr_leaderboard.model.generation import DecodeParams, Prompt

__all__ = ["add_arguments", "run"]

_TEXT = "def fibonacci(n):\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `bench`."""
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder or a .gguf file")
    parser.add_argument("--tokens", type=int, default=32, help="tokens to write in each slot, most of each answer")
    parser.add_argument("--prompts", type=Path, help="JSON lines, one prompt each, answered one after another")
    parser.add_argument("--draft-tokens", type=int, default=0, help="with --prompts: also with drafts, in turn")
    parser.add_argument("--rounds", type=int, default=9, help="with --prompts: how often; the medians are told")


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Figures: tokens_per_second, batch, backend, and with prompts those of `racing.Race`.

    Without prompts all slots are counted together, and the first step, which compiles, is not.
    """
    model = load_model(args.model)
    backend = f"jax {jax.__version__} {jax.default_backend()}"
    if args.prompts is not None:
        return OpResult(figures={**_race(args, model, report), "batch": 1, "backend": backend})
    return OpResult(figures={"tokens_per_second": _full(args, model, report), "batch": WIDTH, "backend": backend})


def _full(args: argparse.Namespace, model: LoadedModel, report: Reporter) -> float:
    prompts = [Prompt(task_id=f"bench/{i}", raw=_TEXT) for i in range(WIDTH)]
    decoder = Decoder(model, DecodeParams(max_tokens=args.tokens + 1), ignore_end=True)
    first: list[float] = []

    def watch(times: DecodeTimes) -> None:
        first.append(times.decode)
        report.progress("decoding", times.n_steps, args.tokens + 1, "steps")

    for _ in decoder.run(make_requests(model, prompts), watch):
        pass
    return round((decoder.times.n_decoded - WIDTH) / (decoder.times.decode - first[0]), 2)


def _race(args: argparse.Namespace, model: LoadedModel, report: Reporter) -> dict[str, float]:
    requests = make_requests(model, read_prompts(args.prompts))
    ways = (
        DecodeParams(max_tokens=args.tokens),
        DecodeParams(max_tokens=args.tokens, draft_tokens=args.draft_tokens),
    )
    found = race(model, requests, ways, args.rounds, lambda n: report.progress("decoding", n, args.rounds, "rounds"))
    return {**found.figures(), **draft_figures(found.times)}
