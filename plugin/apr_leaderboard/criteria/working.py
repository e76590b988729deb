"""The jobs that several criteria ask for, each asked for in one way, so that each is done once."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final, NamedTuple

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import AlignJob, CompileJob, MergeJob, PrepDataJob, PruneJob, QuantizeJob
from apr_leaderboard.errors import EngineRefusedError, HarnessError
from apr_leaderboard.model.stage import (
    AlignParams,
    CompileParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
)
from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.lab import Made

__all__ = ["Cleaned", "align", "compiled", "decontaminate", "merge", "prune", "quantize", "weights_bytes"]

_RATE: Final = re.compile(r"Contamination rate (\d+(?:\.\d+)?)%")
_CLEAN: Final = 60
_PLANTED: Final = 6


def align(trial: Trial, params: AlignParams, model: str, dataset: str) -> Made:
    """A model by name, aligned by the engine with a dataset of recipes/data."""
    data = trial.root / "recipes" / "data" / dataset
    if not data.is_file():
        raise HarnessError(f"{data}: no such file")
    start = trial.imported(trial.source(model))
    plain = params.model_dump(mode="json", exclude={"dataset"})
    return trial.make(lambda found: AlignJob(found[0], data, params), plain, [start], data)


def compiled(trial: Trial, model: Made) -> Made:
    """A model as one program."""
    params = CompileParams()
    return trial.make(lambda found: CompileJob(found[0], params), params, [model])


class Cleaned(NamedTuple):
    """Samples: how many the engine finds, were planted, and were there at all.

    `left`: of those planted, how many are still in what the engine left; None where it leaves nothing.
    """

    found: int
    planted: int
    total: int
    left: int | None


def decontaminate(trial: Trial) -> Cleaned:
    """HumanEval's problems planted among clean samples, and what the engine makes of them.

    What it drops is what it finds. A program that drops nothing and ends by saying the rate is taken at that word.
    """
    clean = (trial.root / "recipes" / "data" / "smoke-instruct.jsonl").read_text(encoding="utf-8").splitlines()[:_CLEAN]
    problems = trial.workbench.evaluations.problems("humaneval")[:_PLANTED]
    planted = [json.dumps({"instruction": one.prompt, "response": one.canonical or ""}) for one in problems]
    # One line a problem and not packed: every engine reads that.
    rows = [{"task_id": one.task_id, "prompt": one.prompt, "canonical_solution": one.canonical} for one in problems]
    against = trial.file("benchmark.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    data = trial.file("planted.jsonl", "\n".join([*clean, *planted]) + "\n")
    params = PrepDataParams(dataset="planted", steps=("decontaminate",), against=("humaneval",))
    plain = {**params.model_dump(mode="json", exclude={"dataset", "against"}), "against": against.parent.name}
    try:
        made = trial.make(lambda _: PrepDataJob(data, (against,), params), plain, [], data)
    except EngineRefusedError as error:
        told, total = _RATE.search(error.message), len(clean) + len(planted)
        if told is None:
            raise
        trial.commands.append(" ".join(error.command))
        trial.tell("in its own words", error.message)
        return Cleaned(round(float(told.group(1)) / 100 * total), len(planted), total, None)
    if made.record is None or made.checkpoint is None:
        raise Refuted("prep-data left no dataset")
    lines = made.checkpoint.path.read_text(encoding="utf-8").splitlines()
    kept = {json.loads(line)["instruction"] for line in lines if line.strip()}
    before, after = (int(made.record.figures[name]) for name in ("n_before", "n_after"))
    return Cleaned(before - after, len(planted), before, sum(one.prompt in kept for one in problems))


def merge(trial: Trial, params: MergeParams, *models: Made, base: Made | None = None) -> Made:
    """Models as they come, each imported by the engine, joined by it; `base` is where task vectors start."""
    given = [trial.imported(one) for one in models]
    beside = [] if base is None else [trial.imported(base)]
    # The models' names are the recipe's affair: here they come by themselves.
    plain = params.model_dump(mode="json", exclude={"models", "base_model"})
    return trial.make(
        lambda found: MergeJob(found[: len(given)], found[-1] if beside else None, params), plain, [*given, *beside]
    )


def prune(trial: Trial, params: PruneParams, calibration: Path | None = None) -> Made:
    """The model asked, pruned by the engine."""
    plain = params.model_dump(mode="json", exclude={"calibration"})
    return trial.make(lambda found: PruneJob(found[0], calibration, params), plain, [trial.model()], calibration)


def quantize(trial: Trial, params: QuantizeParams) -> Made:
    """The model asked, in fewer bits by the engine."""
    return trial.make(lambda found: QuantizeJob(found[0], params), params, [trial.model()])


def weights_bytes(made: Made) -> int:
    """Bytes of a checkpoint's weights: its one file, or its SafeTensors file."""
    if made.checkpoint is None:
        raise Refuted("the job left no checkpoint")
    path = made.checkpoint.path
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    if not files:
        raise Refuted(f"{path.name} holds no weights")
    return sum(file.stat().st_size for file in files)
