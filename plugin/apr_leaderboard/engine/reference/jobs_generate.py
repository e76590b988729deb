"""Answer a file of prompts; answers are streamed as they end."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from apr_leaderboard.engine.reference.chat import ChatRenderer
from apr_leaderboard.engine.reference.decode import Decoder, DecodeTimes, Request
from apr_leaderboard.engine.reference.loader import LoadedModel, load_model
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.prompt_file import read_prompts
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.generation import DecodeParams, Prompt

__all__ = ["add_arguments", "draft_figures", "make_requests", "run"]

_SECONDS_BETWEEN_REPORTS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `generate`."""
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder or a .gguf file")
    parser.add_argument("--prompts", type=Path, required=True, help="JSON lines, one prompt each")
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--temperature", type=float, default=0.0, help="0: greedy")
    parser.add_argument("--top-k", type=int, default=0, help="0: no limit")
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--draft-tokens", type=int, default=0, help="most tokens drafted and checked in one pass")


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Load the model, answer every prompt."""
    prompts = read_prompts(args.prompts)
    report.progress("loading the model", 0, None, "s")
    started = time.perf_counter()
    model = load_model(args.model)
    loading = time.perf_counter() - started
    params = DecodeParams(
        max_tokens=args.max_tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        draft_tokens=args.draft_tokens,
    )
    decoder = Decoder(model, params)
    watch = _Watch(report, len(prompts))
    for completion in decoder.run(make_requests(model, prompts), watch.step):
        report.completion(completion)
        watch.answered += 1
    watch.step(decoder.times, last=True)
    times = decoder.times
    figures: dict[str, float | int | str | bool] = {
        "n_completions": watch.answered,
        "n_prompt_tokens_read": times.n_prefilled,
        "n_tokens": times.n_decoded,
        "load_seconds": round(loading, 3),
        "prefill_seconds": round(times.prefill, 3),
        "decode_seconds": round(times.decode, 3),
    }
    if params.draft_tokens:
        figures |= draft_figures(times)
    return OpResult(figures=figures)


def draft_figures(times: DecodeTimes) -> dict[str, float]:
    """How many tokens were drafted and accepted, their ratio, and tokens a pass; the same for the same job."""
    return {
        "n_drafted": times.n_drafted,
        "n_accepted": times.n_accepted,
        "acceptance_rate": round(times.n_accepted / max(1, times.n_drafted), 4),
        "tokens_per_pass": round(times.n_decoded / max(1, times.n_steps), 4),
    }


def make_requests(model: LoadedModel, prompts: list[Prompt]) -> list[Request]:
    """Render and encode prompts. Raises RequestError for one that comes to no token at all."""
    renderer = ChatRenderer(model.codec)
    requests = []
    for prompt in prompts:
        rendered, ids = renderer.encode(prompt)
        if not ids:
            raise RequestError(f"{prompt.task_id}: the prompt is empty; at least one token is needed")
        if (largest := max(ids)) >= model.config.vocab_size:
            raise RequestError(f"{prompt.task_id}: token {largest} is outside the model's {model.config.vocab_size}")
        requests.append(Request(prompt, rendered, tuple(ids)))
    return requests


class _Watch:
    """Reports progress at most once a second."""

    def __init__(self, report: Reporter, total: int) -> None:
        self.answered = 0
        self._report = report
        self._total = total
        self._next = 0.0

    def step(self, times: DecodeTimes, *, last: bool = False) -> None:
        now = time.monotonic()
        if now < self._next and not last:
            return
        self._next = now + _SECONDS_BETWEEN_REPORTS
        speed = times.n_decoded / times.decode if times.decode else 0.0
        self._report.progress("answering", self.answered, self._total, "prompts", f"{speed:.1f} tokens/s")
