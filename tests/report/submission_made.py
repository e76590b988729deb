"""A submission made by hand, and a small model that SafeTensors readers take."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from apr_leaderboard.model.recipe import Recipe
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.model.results import (
    BenchmarkResult,
    EvaluationInfo,
    Machine,
    ProblemResult,
    RunInfo,
    StageOutcome,
    StageResult,
    Tool,
)
from apr_leaderboard.pipeline import summarize
from apr_leaderboard.report.submission import Input, Submission

__all__ = ["RECIPE", "TOKEN", "made_submission", "score", "write_model"]

TOKEN = "hf_never_to_be_seen"
RECIPE: dict[str, Any] = {
    "schema": 1,
    "name": "recipe-x-test",
    "title": "A test",
    "stages": ["import", "finetune", "eval"],
    "profiles": {
        "smoke": {
            "model": "smoke",
            "benchmarks": ["humaneval"],
            "finetune": {"dataset": "smoke-instruct"},
            "eval": {},
        }
    },
}


def write_model(folder: Path, value: float = 1.0) -> Path:
    """A folder in the Hugging Face layout with one tensor of two values."""
    folder.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    data = struct.pack("<Q", len(header)) + header + struct.pack("<2f", value, 2.0)
    (folder / "model.safetensors").write_bytes(data)
    (folder / "config.json").write_text('{"model_type": "qwen2"}\n')
    return folder


def score(solved: int, asked: int = 4, after: str = "finetune") -> BenchmarkResult:
    """HumanEval with so many problems solved."""
    info = EvaluationInfo(
        name="humaneval", model="smoke", engine="reference", profile="standard@1", recipe="recipe-x-test", after=after,
        n_problems=asked, n_samples=1, decoding={"temperature": 0.0},
    )  # fmt: skip
    problems = [
        ProblemResult(task_id=f"HumanEval/{n}", n=1, c=int(n < solved), verdict="passed" if n < solved else "wrong")
        for n in range(asked)
    ]
    return summarize(info, problems, (1,))


def made_submission(**changed: Any) -> Submission:
    """What a run of the recipe above came to."""
    stage = {"recipe": "recipe-x-test", "engine": "reference", "profile": "smoke", "outcome": StageOutcome.PASSED}
    stages = tuple(
        StageResult(**stage, stage=name, seconds=1.0, cached=False, command=name, digest=letter * 64)
        for name, letter in (("import", "a"), ("finetune", "b"))
    )
    known: dict[str, Any] = {
        "repo": "me/little",
        "licence": "MIT",
        "recipe": Recipe.model_validate(RECIPE),
        "profile": "smoke",
        "engine": EngineIdentity(name="reference", version="1", build="c" * 64),
        "run": RunInfo(
            tool=Tool(version="0.1.0"), engines=(), python="CPython 3.11.7",
            machine=Machine(system="Linux", processor="x", cores=2), datasets={"humaneval": "d" * 64},
            sandbox="namespaces", started="2026-01-01T00:00:00+00:00", seconds=1.0,
        ),
        "stages": stages,
        "scores": (score(3),),
        "baselines": (score(1, after="import"),),
        "criteria": (),
        "inputs": (Input("base model", "smoke", "MIT"), Input("training data", "smoke-instruct", "MIT")),
    }  # fmt: skip
    return Submission(**{**known, **changed})
