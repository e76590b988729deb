"""Decoding with drafts against plain decoding by the same engine, timed in turn in one process.

    python benchmarks/bench_speculative.py --model M [--suite smoke|humaneval] [--prompts 16] [--max-tokens 64]
                                           [--draft-tokens 4,16,31] [--at-once 1,8,32] [--rounds 7]

M is a Hugging Face folder or a .gguf file. One line for each number of drafted tokens and of prompts at once: tokens a
second of both (medians), their ratio (median, least and most of the rounds), tokens a pass, the share of drafted tokens
that were accepted, and what a drafted pass costs in plain ones. Exit code 1 where a draft changed an answer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import median

from bench_decode import humaneval_prompts

from apr_leaderboard.bench import benchmark_named, load, load_suites, profile_named, render
from apr_leaderboard.engine.reference.jobs_generate import draft_figures, make_requests
from apr_leaderboard.engine.reference.loader import load_model
from apr_leaderboard.engine.reference.racing import Race, race
from apr_leaderboard.model.generation import DecodeParams, Prompt

_ROOT = Path(__file__).resolve().parents[1]
_HEAD = (
    f"{'draft':>5} {'at once':>7} {'plain':>8} {'drafted':>8}  {'ratio':<20} {'tokens/pass':>11} {'accepted':>8} "
    f"{'pass costs':>10}"
)


def main() -> None:
    """Race, and print."""
    args = _arguments()
    model = load_model(args.model)
    requests = make_requests(model, _prompts(args.suite, args.prompts))
    print(f"{len(requests)} prompts of {args.suite}, up to {args.max_tokens} tokens each, {args.rounds} rounds")
    print(_HEAD, flush=True)
    plain, differing = DecodeParams(max_tokens=args.max_tokens), 0
    for at_once in _numbers(args.at_once):
        for count in _numbers(args.draft_tokens):
            drafted = DecodeParams(max_tokens=args.max_tokens, draft_tokens=count)
            found = race(model, requests, (plain, drafted), args.rounds, lambda n: None, at_once)
            print(f"{count:>5} {at_once:>7} {_line(found)}", flush=True)
            differing += int(found.figures()["n_differing"])
    print(f"answers that differ: {differing}")
    sys.exit(1 if differing else 0)


def _line(found: Race) -> str:
    figures, drafts = found.figures(), draft_figures(found.times)
    plain, drafted = (
        median(lap.times.decode / lap.times.n_steps for lap in laps) for laps in (found.plain, found.other)
    )
    ratio = f"{figures['speedup']:.2f} ({figures['speedup_least']:.2f} to {figures['speedup_most']:.2f})"
    return (
        f"{figures['plain_tokens_per_second']:>8.1f} {figures['tokens_per_second']:>8.1f}  {ratio:<20} "
        f"{drafts['tokens_per_pass']:>11.2f} {drafts['acceptance_rate']:>8.2f} {drafted / plain:>10.2f}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--suite", choices=("smoke", "humaneval"), default="smoke")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--draft-tokens", default="4,16,31")
    parser.add_argument("--at-once", default="1,8,32")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _prompts(name: str, count: int) -> list[Prompt]:
    """The first tasks of a benchmark, asked as it asks them."""
    if name == "humaneval":
        return humaneval_prompts(count)
    folder = _ROOT / "recipes" / "suites"
    benchmark = benchmark_named(name, load_suites(folder))
    problems = load(benchmark, folder / "smoke.jsonl").problems[:count]
    return [render(profile_named(benchmark.profile), problem, 0, 0) for problem in problems]


if __name__ == "__main__":
    main()
