"""ReferenceEngine: each job as a program of its own, its streams, its errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import refmodels

from apr_leaderboard.engine.jobs import BenchJob, CheckJob, Checkpoint, ExportJob, GenerateJob, PerplexityJob
from apr_leaderboard.engine.protocol import Progress, ignore_progress
from apr_leaderboard.engine.reference import ReferenceEngine
from apr_leaderboard.errors import EngineRefusedError, EngineTimeoutError, RequestError
from apr_leaderboard.model.generation import Completion, DecodeParams, Prompt


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A random Llama with a tokenizer."""
    folder = refmodels.write_model(tmp_path_factory.mktemp("m") / "llama", "llama")
    return Checkpoint(refmodels.write_tokenizer(folder), "hf")


def test_generate_streams_answers_and_figures(model: Checkpoint, tmp_path: Path) -> None:
    """Every prompt is answered once through the sink; the record names engine, command and counts."""
    prompts = tuple(Prompt(task_id=f"t{i}", raw="x" * (i + 1)) for i in range(3))
    answers: list[Completion] = []
    seen: list[Progress] = []
    engine = ReferenceEngine()
    job = GenerateJob(model, prompts, DecodeParams(max_tokens=5))
    record = engine.generate(job, tmp_path, answers.append, seen.append)
    assert sorted(answer.task_id for answer in answers) == ["t0", "t1", "t2"]
    assert all(answer.rendered and answer.n_tokens for answer in answers)
    assert record.command == engine.command(job, tmp_path)
    assert record.engine == engine.identity()
    assert record.figures["n_completions"] == 3
    assert seen[-1].done == 3


@pytest.mark.slow
def test_generate_command_run_by_hand_prints_the_same(model: Checkpoint, tmp_path: Path) -> None:
    """The command in a record can be copied: its last line is the record, and it repeats the answers."""
    answers: list[Completion] = []
    job = GenerateJob(model, (Prompt(task_id="t", raw="def "),), DecodeParams(max_tokens=5, temperature=0.7))
    record = ReferenceEngine().generate(job, tmp_path, answers.append, ignore_progress)
    lines = subprocess.run(record.command, capture_output=True, text=True, check=True).stdout.splitlines()
    told = [json.loads(line)["completion"] for line in lines if line.startswith('{"completion"')]
    assert [Completion.model_validate_json(json.dumps(t)) for t in told] == answers
    assert "record" in json.loads(lines[-1])


def test_perplexity_job_returns_figures(model: Checkpoint, tmp_path: Path) -> None:
    """The figures the job promises."""
    (tmp_path / "text.txt").write_text("The quick brown fox. " * 10, encoding="utf-8")
    record = ReferenceEngine().run(
        PerplexityJob(model, tmp_path / "text.txt", window=64, max_tokens=130), tmp_path, ignore_progress
    )
    assert record.figures["n_tokens"] == 130 - 3
    assert float(record.figures["perplexity"]) > 1


@pytest.mark.slow
def test_bench_job_returns_throughput(model: Checkpoint, tmp_path: Path) -> None:
    """Tokens a second over all slots, and what it ran on."""
    record = ReferenceEngine().run(BenchJob(model, n_tokens=4), tmp_path, ignore_progress)
    assert float(record.figures["tokens_per_second"]) > 0
    assert str(record.figures["backend"]).endswith("cpu")


@pytest.mark.slow
def test_bench_job_with_prompts_and_drafts_returns_both_speeds(model: Checkpoint, tmp_path: Path) -> None:
    """Measured on these prompts, in turn; the counts of drafts stand beside the speeds."""
    job = BenchJob(model, n_tokens=6, prompts=(Prompt(task_id="t", raw="abab" * 4),), draft_tokens=4, rounds=2)
    figures = ReferenceEngine().run(job, tmp_path, ignore_progress).figures
    assert float(figures["tokens_per_second"]) > 0
    assert float(figures["plain_tokens_per_second"]) > 0
    assert (figures["n_answers"], figures["n_differing"]) == (1, 0)
    assert 0 <= float(figures["acceptance_rate"]) <= 1


@pytest.mark.slow
def test_generate_with_drafts_counts_them_in_its_record(model: Checkpoint, tmp_path: Path) -> None:
    """The answers are those of a request without, whose record has no such figures."""
    prompts = (Prompt(task_id="t", raw="abab" * 4),)
    found: list[list[Completion]] = [[], []]
    figures = []
    for answers, params in zip(
        found, (DecodeParams(max_tokens=9), DecodeParams(max_tokens=9, draft_tokens=4)), strict=True
    ):
        job = GenerateJob(model, prompts, params)
        figures.append(ReferenceEngine().generate(job, tmp_path, answers.append, ignore_progress).figures)
    assert found[0] == found[1]
    drafted = {"n_drafted", "n_accepted", "acceptance_rate", "tokens_per_pass"}
    assert drafted.isdisjoint(figures[0])
    assert drafted <= set(figures[1])


def test_missing_model_is_the_requests_fault(tmp_path: Path) -> None:
    """One line that names the file and what is accepted."""
    job = BenchJob(Checkpoint(tmp_path / "none.gguf", "gguf"))
    with pytest.raises(RequestError, match=r"none\.gguf: no such file; allowed: a GGUF file"):
        ReferenceEngine().run(job, tmp_path, ignore_progress)


def test_apr_checkpoint_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """The other engine's own format is no input here."""
    with pytest.raises(EngineRefusedError, match="got format 'apr'; accepted: hf, gguf"):
        ReferenceEngine().command(CheckJob(Checkpoint(tmp_path / "m.apr", "apr")), tmp_path)


def test_timeout_ends_the_program(model: Checkpoint, tmp_path: Path) -> None:
    """A job that takes longer than allowed is ended and told as such."""
    with pytest.raises(EngineTimeoutError, match=r"not done after 0\.2 s"):
        ReferenceEngine(timeout=0.2).run(BenchJob(model), tmp_path, ignore_progress)


def test_sink_error_ends_the_program_and_passes(model: Checkpoint, tmp_path: Path) -> None:
    """What a sink raises comes out as it is."""

    def sink(completion: Completion) -> None:
        raise TypeError("disk full")

    job = GenerateJob(model, (Prompt(task_id="t", raw="a"),), DecodeParams(max_tokens=2))
    with pytest.raises(TypeError, match="disk full"):
        ReferenceEngine().generate(job, tmp_path, sink, ignore_progress)


def test_same_sample_twice_is_refused(model: Checkpoint, tmp_path: Path) -> None:
    """Two prompts with one key could not be told apart."""
    twice = (Prompt(task_id="t", raw="a"), Prompt(task_id="t", raw="b"))
    with pytest.raises(RequestError, match="same task_id and sample"):
        ReferenceEngine().generate(GenerateJob(model, twice, DecodeParams()), tmp_path, print, ignore_progress)


def test_produces_says_what_an_export_leaves(model: Checkpoint) -> None:
    """A file for gguf, a folder for hf, a refusal for a job that leaves nothing."""
    engine = ReferenceEngine()
    assert engine.produces(ExportJob(model, "hf")) == ("model", "hf")
    assert engine.produces(ExportJob(model, "gguf")) == ("model.gguf", "gguf")
    with pytest.raises(EngineRefusedError, match="bench leaves no checkpoint"):
        engine.produces(BenchJob(model))


def test_engine_in_the_asking_process_imports_no_jax() -> None:
    """Collecting tests must not pay for JAX: importing, naming and planning do without."""
    code = (
        "import sys; from apr_leaderboard.engine import make_engine; e = make_engine('reference');"
        "e.identity(); e.capabilities(); sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nonsense"], 2, "invalid choice: 'nonsense'"),
        (["bench", "-o", "x"], 2, "required: --model"),
        (["bench", "--model", "nowhere", "-o", "out"], 3, "error: nowhere: no such file or folder"),
    ],
    ids=["unknown operation", "missing flag", "missing model"],
)
def test_program_wrong_use_exits_with_its_code(tmp_path: Path, words: list[str], code: int, told: str) -> None:
    """Exit code 2 for usage, 3 for bad input, and a line that says why."""
    argv = [sys.executable, "-m", "apr_leaderboard.engine.reference", *words]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == code
    assert told in done.stderr
    assert "Traceback" not in done.stderr
