"""Clean a dataset: audit it, drop duplicates, what a benchmark holds and what is poor; balance and split it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from apr_leaderboard.engine.dataset import Row, read_rows, write_rows
from apr_leaderboard.engine.reference import prep_data
from apr_leaderboard.engine.reference.lineage import digest_of, lineage_text
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.prep_data import Step, Wishes
from apr_leaderboard.errors import RequestError

__all__ = ["add_arguments", "run"]

_STEPS: Final[Mapping[str, Callable[[Sequence[Row], Wishes], Step]]] = MappingProxyType(
    {
        "audit": prep_data.audit,
        "dedup": prep_data.dedup,
        "decontaminate": prep_data.decontaminate,
        "quality": prep_data.quality,
        "balance": prep_data.balance,
        "split": prep_data.split,
    }
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The data, the steps in their order, and what each is told."""
    parser.add_argument("--data", type=Path, required=True, help="JSON lines, one sample each")
    parser.add_argument("--against", type=Path, action="append", default=[], help="a benchmark's file; repeatable")
    parser.add_argument("--steps", required=True, help="comma-separated, done in this order: " + ", ".join(_STEPS))
    parser.add_argument("--ngram", type=int, default=10, help="decontaminate: words in an n-gram")
    parser.add_argument("--overlap", type=float, default=0.5, help="decontaminate: share of n-grams from which on")
    parser.add_argument("--min-quality", type=float, default=50.0, help="quality: 0 to 100")
    parser.add_argument("--balance-by", default="category", help="balance: a key of every sample")
    parser.add_argument("--held-out", type=float, default=0.1, help="split: share put aside")
    parser.add_argument("--seed", type=int, default=0)


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/data.jsonl, the samples' lines as they were, and with split OUT/held-out.jsonl."""
    names = args.steps.split(",")
    if unknown := [name for name in names if name not in _STEPS]:
        raise RequestError(f"--steps: got {', '.join(unknown)}; allowed: {', '.join(_STEPS)}")
    against = tuple(row for path in args.against for row in read_rows(path))
    wishes = Wishes(
        against, args.ngram, args.overlap, args.min_quality, args.balance_by, args.held_out, args.seed
    )  # fmt: skip
    rows = read_rows(args.data)
    figures: dict[str, float | int | str | bool] = {"n_before": len(rows)}
    for done, name in enumerate(names):
        report.progress("prep-data", done, len(names), "steps", name)
        before, step = len(rows), _STEPS[name](rows, wishes)
        rows = step.rows
        figures |= {**step.figures, f"n_dropped_{name}": before - len(rows) - len(step.aside)}
        if step.aside:
            write_rows(args.out / "held-out.jsonl", step.aside)
        if not rows:
            raise RequestError(f"{name}: got {before} samples and leaves none; allowed: steps that leave some")
    write_rows(args.out / "data.jsonl", rows)
    (args.out / "lineage.json").write_text(_lineage(args, names), encoding="utf-8")
    return OpResult("data.jsonl", "jsonl", {**figures, "n_after": len(rows)})


def _lineage(args: argparse.Namespace, names: list[str]) -> str:
    told = ("ngram", "overlap", "min_quality", "balance_by", "held_out", "seed")
    params = {"steps": names, **{name: getattr(args, name) for name in told}}
    inputs = {
        "data": digest_of(args.data),
        **{f"against{i}": digest_of(path) for i, path in enumerate(args.against, 1)},
    }
    return lineage_text([{"op": "prep-data", "engine": "reference", "params": params, "inputs": inputs}])
