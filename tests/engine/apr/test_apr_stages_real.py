"""The real program's prep-data, distill, align and finetune: what it does, and that the engine sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from apr_leaderboard.engine.apr import AprEngine
from apr_leaderboard.engine.dataset import read_rows
from apr_leaderboard.engine.jobs import AlignJob, Checkpoint, DistillJob, FinetuneJob, Job, PrepDataJob
from apr_leaderboard.engine.protocol import ignore_progress
from apr_leaderboard.errors import EngineOutputError, EngineRefusedError
from apr_leaderboard.model.stage import AlignParams, DistillParams, FinetuneParams, PrepDataParams

pytestmark = pytest.mark.real_apr

_TASK = "Check if in the given list of numbers any two are closer to each other than the threshold"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Twelve rows, one of them twice, one of no valid Python, in two categories."""
    rows = [{"instruction": f"Write function number {i}", "response": f"def f{i}(a):\n    return a + {i}",
             "category": "ab"[i % 2]} for i in range(10)]  # fmt: skip
    rows += [rows[0], {"instruction": "Write it", "response": "def f(:\n    never ends", "category": "b"}]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _out(tmp_path: Path) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    return out


def test_prep_data_real_chain_leaves_a_checked_dataset(real_engine: AprEngine, data: Path, tmp_path: Path) -> None:
    """Equal rows go, classes are evened out; broken code stays and is a finding."""
    params = PrepDataParams(dataset="x", steps=("audit", "dedup", "quality", "balance", "split"), held_out=0.2)
    out = _out(tmp_path)
    record = real_engine.run(PrepDataJob(data, (), params), out, ignore_progress)
    assert (record.checkpoint, record.format) == ("data.jsonl", "jsonl")
    assert record.figures["n_dropped_dedup"] == 1
    assert record.figures["n_after"] == len(read_rows(out / "data.jsonl"))
    assert {finding.code for finding in record.findings} <= {"quality-not-of-code", "near-duplicates-kept"}


def test_prep_data_real_decontaminate_ends_where_it_finds_any(
    real_engine: AprEngine, data: Path, tmp_path: Path
) -> None:
    """It drops nothing: a share above its own gate is a refusal in its words."""
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"task_id": "T/0", "prompt": _TASK}) + "\n", encoding="utf-8")
    row = {"instruction": _TASK, "response": _TASK}
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    job = PrepDataJob(data, (bench,), PrepDataParams(dataset="x", steps=("decontaminate",)))
    with pytest.raises(EngineRefusedError, match=r"Contamination rate 100.00% exceeds 1% gate"):
        real_engine.run(job, _out(tmp_path), ignore_progress)


@pytest.mark.parametrize("strategy", ["standard", "progressive"])
def test_distill_real_returns_the_student_as_it_is(
    real_engine: AprEngine, imported: Checkpoint, data: Path, tmp_path: Path, strategy: str
) -> None:
    """Its line of success stands over a copy."""
    params = DistillParams.model_validate({"teacher": "t", "dataset": "x", "strategy": strategy})
    with pytest.raises(EngineOutputError, match=r"distilling changed nothing: all .* tensors equal the student's"):
        real_engine.run(DistillJob(imported, (imported,), data, params), _out(tmp_path), ignore_progress)


@pytest.mark.parametrize(
    ("job", "words"),
    [("dpo", "Unknown fine-tuning method: dpo"), ("orpo", "Unknown fine-tuning method: orpo"),
     ("instruct", "requires unreleased entrenar APIs")],
)  # fmt: skip
def test_training_real_refuses_preferences_and_tasks_in_its_words(
    real_engine: AprEngine, imported: Checkpoint, data: Path, tmp_path: Path, job: str, words: str
) -> None:
    """Asked all the same, so that a version that can is given the chance."""
    asked: Job = AlignJob(
        imported, data, AlignParams.model_validate({"dataset": "x", "method": job if job != "instruct" else "dpo"})
    )
    if job == "instruct":
        asked = FinetuneJob(imported, data, FinetuneParams(dataset="x", task="instruct"))
    with pytest.raises(EngineRefusedError, match=words):
        real_engine.run(asked, _out(tmp_path), ignore_progress)
