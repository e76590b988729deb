"""The engine's command lines are those the reference program takes."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from apr_leaderboard.engine.jobs import (
    AlignJob,
    BenchJob,
    CheckJob,
    Checkpoint,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    ImportJob,
    InspectJob,
    Job,
    MakeSmokeJob,
    MergeJob,
    PerplexityJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
)
from apr_leaderboard.engine.reference.argv import build_argv
from apr_leaderboard.engine.reference.ops import OPS, load_op
from apr_leaderboard.model.generation import DecodeParams, Prompt
from apr_leaderboard.model.stage import (
    AlignParams,
    CompileParams,
    DistillParams,
    FinetuneParams,
    ImportParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
)

MODEL = Checkpoint(Path("m"), "hf")
_ENSEMBLE = DistillParams(strategy="ensemble", teacher="t", more_teachers=("u",), dataset="d")
JOBS: list[Job] = [
    MakeSmokeJob(seed=3),
    ImportJob(MODEL, ImportParams(quantization="fp16")),
    FinetuneJob(MODEL, Path("d.jsonl"), FinetuneParams(dataset="d", alpha=8.0)),
    MergeJob((MODEL, MODEL), MODEL, MergeParams(strategy="ties", weights=(-1.0, 2.0))),
    MergeJob((MODEL, MODEL), MODEL, MergeParams(strategy="dare", elect_signs=True)),
    PruneJob(MODEL, Path("t.txt"), PruneParams(method="wanda")),
    PruneJob(MODEL, None, PruneParams()),
    QuantizeJob(MODEL, QuantizeParams()),
    GenerateJob(MODEL, (), DecodeParams(temperature=0.5)),
    PerplexityJob(MODEL, Path("t.txt")),
    CheckJob(MODEL),
    InspectJob(MODEL),
    GenerateJob(MODEL, (), DecodeParams(draft_tokens=16)),
    BenchJob(MODEL),
    BenchJob(MODEL, prompts=(Prompt(task_id="t", raw="x"),), draft_tokens=16),
    ExportJob(MODEL, "gguf"),
    PrepDataJob(Path("d.jsonl"), (Path("b.jsonl"),), PrepDataParams(dataset="d")),
    CompileJob(MODEL, CompileParams()),
    FinetuneJob(MODEL, Path("d.jsonl"), FinetuneParams(dataset="d", method="full", response_only=False)),
    DistillJob(MODEL, (MODEL, MODEL), Path("d.jsonl"), _ENSEMBLE),
    DistillJob(MODEL, (MODEL,), Path("d.jsonl"), DistillParams(mode="text", teacher="t", dataset="d", max_tokens=9)),
    AlignJob(MODEL, Path("d.jsonl"), AlignParams(method="orpo", dataset="d", beta=0.5)),
]


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.op)
def test_command_of_every_job_is_taken_by_its_operation(job: Job) -> None:
    """Each flag the engine writes is one the operation declares, with a value it takes."""
    argv = build_argv(job, Path("out"))
    assert argv[1:4] == ("-m", "apr_leaderboard.engine.reference", job.op)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    load_op(job.op).add_arguments(parser)
    parser.add_argument("-o", "--out")
    assert parser.parse_args(argv[4:]).out == "out"


def test_every_operation_has_a_job() -> None:
    """What the program can do and what the engine can be asked are the same."""
    assert {job.op for job in JOBS} == set(OPS)


def test_parameters_reach_the_command_with_their_values() -> None:
    """A few by hand: an option's name, a bare flag, a list."""
    words = " ".join(build_argv(JOBS[4], Path("out")))
    assert "--elect-signs --seed 0" in words
    assert "--lambda 1.0" in words
    assert "--weights=-1.0,2.0" in " ".join(build_argv(JOBS[3], Path("out")))
    assert "--alpha 8.0" in " ".join(build_argv(JOBS[2], Path("out")))
