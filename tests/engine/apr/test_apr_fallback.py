"""Lines in which the program tells, on stderr alone, that it gave a GPU up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from apr_leaderboard.engine import BenchJob, Checkpoint
from apr_leaderboard.engine.apr import AprEngine
from apr_leaderboard.engine.apr.fallback import cpu_fallbacks, fallback_findings
from apr_leaderboard.engine.protocol import ignore_progress


@pytest.mark.parametrize(
    "line",
    [
        "GPU requested but CUDA feature not enabled, falling back to CPU",
        "note: GPU backend did not run, falling back to CPU (backend.fell_back = true)",
        "GPU init failed, falling back to CPU: no device",
        "[CUDA] GPU forward failed, falling back to CPU for this step",
        "TransformerTrainer initialized (CPU fallback)",
        "SafeTensors F32 exceeds GPU VRAM. Will use CPU.",
        "[wgpu: the wgpu decoder is greedy-only; sampling (--temperature > 0) runs on the CPU (#3760)]",
    ],
)
def test_line_of_a_gpu_given_up_is_found(line: str) -> None:
    """As the program's own strings have it."""
    assert cpu_fallbacks(f"loading\n  {line}\n{line}\nBackend: CPU\n") == [line]


@pytest.mark.parametrize(
    "line",
    [
        "Backend: CPU (SafeTensors AprTransformer forward, #4269)",
        "[dense] GPU forward failed (serve, no CPU fallback): out of memory",
        "CUDA runtime is not available on this host (no silent CPU fallback). Pass `--device cpu`.",
        "Re-run without --gpu to use the CPU path deliberately. This is a refusal, not a fallback: nothing was loaded",
        "b; falling back to greedy longest-match, which does NOT reproduce the model's tokenization (#3726)",
        "Q4K conversion failed, falling back to F32: odd",
    ],
)
def test_line_of_another_matter_is_none(line: str) -> None:
    """A refusal, another kind of falling back, or a plain word about the CPU."""
    assert cpu_fallbacks(line) == []


def test_recorded_training_on_a_machine_without_a_gpu_gave_nothing_up(recorded: Callable[[str], str]) -> None:
    """Plain LoRA has no other path, and says so each time."""
    assert "runs on the CPU" in recorded("finetune.stderr")
    assert fallback_findings(recorded("finetune.stderr"), ("apr", "finetune")) == []


def test_recorded_run_of_the_cuda_build_without_a_driver_gave_the_gpu_up(recorded: Callable[[str], str]) -> None:
    """It went on with the CPU, and then refused to call that a success."""
    (finding,) = fallback_findings(recorded("run-gpu-rejected.stderr"), ("apr", "run", "m.apr", "--gpu"))
    assert finding.code == "cpu-fallback"
    assert finding.message.startswith("warning: GPU (CUDA) path rejected, attempting fallback")


def test_bench_that_fell_back_has_a_finding_beside_its_figures(
    fake_apr: Callable[[str], Path], recorded: Callable[[str], str], tmp_path: Path
) -> None:
    """Whatever the job."""
    (tmp_path / "bench.json").write_text(recorded("bench.json"))
    binary = fake_apr(f"cat {tmp_path}/bench.json\necho 'GPU init failed, falling back to CPU: no device' >&2")
    record = AprEngine(binary).run(BenchJob(Checkpoint(Path("/m.apr"), "apr")), tmp_path, ignore_progress)
    (finding,) = record.findings
    assert (finding.code, finding.message) == ("cpu-fallback", "GPU init failed, falling back to CPU: no device")
    assert (record.figures["backend"], finding.command.split()[1:3]) == ("cpu", ["bench", "/m.apr"])
