"""The shell line that cleans a dataset with `apr data`, one call a step, each taking what the one before it left.

No step of 0.72.3 takes more than one file in and one out, so the stage is a chain; the first that fails ends it. What
a step prints goes to `STEP.json`, what it leaves to `STEP.jsonl`.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

from apr_leaderboard.engine.jobs import PrepDataJob

__all__ = ["DATA_FILE", "HELD_OUT_FILE", "leaves_rows", "prep_data_argv", "step_files"]

DATA_FILE: Final = "data.jsonl"
HELD_OUT_FILE: Final = "held-out.jsonl"
_LOOKS: Final = ("audit", "decontaminate")
"""Steps that tell and write no rows."""


def leaves_rows(step: str) -> bool:
    """Whether a step writes a dataset."""
    return step not in _LOOKS


def step_files(job: PrepDataJob, out: Path) -> list[tuple[str, Path, Path]]:
    """Each step with the file it reads and the file its rows are in afterwards."""
    files: list[tuple[str, Path, Path]] = []
    at = job.data
    for step in job.params.steps:
        left = at
        if step == "split":
            left = out / "split" / "train.jsonl"
        elif leaves_rows(step):
            left = out / f"{step}.jsonl"
        files.append((step, at, left))
        at = left
    return files


def prep_data_argv(binary: Path, job: PrepDataJob, out: Path) -> tuple[str, ...]:
    """The chain as one shell line."""
    words = []
    for step, source, left in step_files(job, out):
        told = shlex.quote(str(out / f"{step}.json"))
        words.append(f"{shlex.join([str(binary), 'data', *_step(job, step, source, left)])} > {told}")
    last = step_files(job, out)[-1][2]
    words.append(shlex.join(["cp", str(last), str(out / DATA_FILE)]))
    return ("/bin/sh", "-c", " && ".join(words))


def _step(job: PrepDataJob, step: str, source: Path, left: Path) -> list[str]:
    params = job.params
    match step:
        case "audit":
            # It insists on a column of labels; where no step needs one, the answers stand in.
            column = params.balance_by if {"balance", "split"} & set(params.steps) else "response"
            return ["audit", str(source), "--input-column", "instruction", "--label-column", column, "--json"]
        case "dedup":
            return ["dedup", str(source), "-o", str(left), "--json"]
        case "decontaminate":
            against = [word for path in job.against for word in ("--reference", str(path))]
            limits = ["--ngram", str(params.ngram), "--threshold", repr(params.overlap)]
            return ["decontaminate", str(source), *against, *limits, "--json"]
        case "quality":
            limits = ["--min-score", repr(params.min_quality / 100), "--min-length", "1"]
            return ["x", "filter-text", str(source), "-o", str(left), "--column", "response", *limits]
        case "balance":
            label = ["--label-column", params.balance_by, "--seed", str(params.seed)]
            return ["balance", str(source), "--strategy", "undersample", *label, "-o", str(left), "--json"]
        case _:
            shares = ["--train", repr(1 - params.held_out), "--val", "0", "--test", repr(params.held_out)]
            label = ["--label-column", params.balance_by]
            return ["split", str(source), *shares, *label, "--seed", str(params.seed), "-o", str(left.parent), "--json"]
