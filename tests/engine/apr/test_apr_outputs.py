"""The program's JSON documents and training log, as recorded from 0.72.3."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from apr_leaderboard.engine.apr.apr_format import read_apr
from apr_leaderboard.engine.apr.exports import config_mismatches
from apr_leaderboard.engine.apr.limits import job_seconds
from apr_leaderboard.engine.apr.outputs import (
    bench_figures,
    check_figures,
    check_findings,
    inspect_figures,
    json_document,
    perplexity_figures,
)
from apr_leaderboard.engine.apr.sources import SourceFormatError, read_source
from apr_leaderboard.engine.apr.training import Adapter, TrainingLog, read_adapter, uncompared, unhonoured, verify_merge
from apr_leaderboard.engine.apr.verify import Written
from apr_leaderboard.engine.jobs import Checkpoint, FinetuneJob
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.stage import FinetuneParams

_Recorded = Callable[[str], str]


def test_check_document_counts_stages_and_names_failures(recorded: _Recorded) -> None:
    """Stages are counted from the list; one that fails is a finding."""
    document = json_document(recorded("check.json"))
    assert check_figures(document) == {"stages_passed": 10, "stages_total": 10}
    assert check_findings(document, "apr check m") == []
    document["stages"][3]["status"] = "FAIL"
    assert check_figures(document)["stages_passed"] == 9
    assert [finding.code for finding in check_findings(document, "apr check m")] == ["self-check-failed"]


def test_inspect_document_gives_what_it_says_and_no_more(recorded: _Recorded) -> None:
    """A figure the program leaves out is not measured, not zero."""
    document = json_document(recorded("inspect.json"))
    assert inspect_figures(document) == {
        "architecture": "qwen2", "n_layers": 2, "hidden_size": 64, "vocab_size": 303, "n_parameters": 113088,
        "n_tensors": 27,
    }  # fmt: skip
    del document["num_layers"], document["metadata"]["num_layers"]
    assert "n_layers" not in inspect_figures(document)


def test_eval_document_gives_perplexity_and_tokens(recorded: _Recorded) -> None:
    """Perplexity and cross-entropy belong together."""
    figures = perplexity_figures(json_document(recorded("eval-above-threshold.json")))
    assert figures["n_tokens"] == 11
    assert figures["perplexity"] == pytest.approx(np.exp(float(figures["cross_entropy"])), rel=1e-5)


def test_bench_document_gives_speed_and_backend(recorded: _Recorded) -> None:
    """Throughput comes with the backend it was measured on."""
    figures = bench_figures(json_document(recorded("bench.json")))
    assert figures["backend"] == "cpu"
    assert float(figures["tokens_per_second"]) > 0


@pytest.mark.parametrize("stdout", ["", "loading\n{}", "[1]", "{"])
def test_json_document_anything_else_is_an_error(stdout: str) -> None:
    """Stdout with --json is one JSON object or it is not believed."""
    with pytest.raises(ValueError, match=r"."):
        json_document(stdout)


def test_training_log_of_recorded_run_gives_steps_and_epochs(recorded: _Recorded, tmp_path: Path) -> None:
    """Progress counts samples over all epochs; the log file has every reported loss."""
    log = TrainingLog()
    progress = [step for line in recorded("finetune.stderr").splitlines() if (step := log.take(line))]
    assert [(step.done, step.total) for step in progress] == [(5, 14), (7, 14), (13, 14), (14, 14)]
    assert [(end.loss, end.tokens, end.samples) for end in log.epochs] == [(5.9026, 168, 7), (5.9007, 168, 7)]
    assert log.samples_seen() == 14
    assert log.reached() == "at epoch 2 of 2, sample 7 of 7, loss 5.8671"
    log.write(tmp_path / "losses.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert rows[0]["loss"] == 5.9034
    assert sum("epoch_end" in row for row in rows) == 2


def test_training_log_without_target_tokens_is_a_finding() -> None:
    """Training on truncated prompts alone looks like success to the program."""
    log = TrainingLog()
    log.take("  Epoch 1 complete: avg_loss=0.0000 tokens=0 samples=7 lr=6.12e-4")
    codes = {finding.code for finding in unhonoured(FinetuneParams(dataset="x", alpha=16.0), log, "c")}
    assert codes == {"no-target-tokens", "batch-size-not-honoured", "alpha-not-honoured", "seed-not-honoured"}


def _adapter_file(folder: Path, b: np.ndarray) -> Path:  # type: ignore[type-arg]
    numpy_io = pytest.importorskip("safetensors.numpy")
    a = np.ones((2, 3), np.float32)
    numpy_io.save_file({"lora.0.q_proj.lora_a": a, "lora.0.q_proj.lora_b": b}, str(folder / "model.safetensors"))
    (folder / "metadata.json").write_text('{"lora_alpha": 4.0}')
    return folder / "model.safetensors"


def test_adapter_with_zero_b_is_an_output_error(tmp_path: Path) -> None:
    """An adapter that would change nothing is no result of training."""
    with pytest.raises(EngineOutputError, match="training changed nothing"):
        read_adapter(_adapter_file(tmp_path, np.zeros((4, 2), np.float32)), ())


def test_adapter_missing_is_an_output_error(tmp_path: Path) -> None:
    """Training that leaves no checkpoint is found out."""
    with pytest.raises(EngineOutputError, match="left no adapter"):
        read_adapter(tmp_path / "model.safetensors", ())


def test_adapter_names_matrices_that_stayed_behind() -> None:
    """A matrix a thousand times smaller than the others was not trained with them."""
    ones = np.ones((2, 2), np.float32)
    adapter = Adapter(MappingProxyType({"a": (ones, ones), "b": (ones, ones * 1e-6)}), 4.0)
    assert adapter.untrained() == ["b"]


@pytest.mark.parametrize(
    ("scale", "words"),
    [(2.0, None), (0.0, "not base"), (1.0, "not base"), (-2.0, "not base")],
    ids=["right", "nothing-merged", "half", "subtracted"],
)
def test_merge_is_base_plus_scaled_product(
    tmp_path: Path, apr_bytes: Callable[..., bytes], scale: float, words: str | None
) -> None:
    """alpha 4 over rank 2 is a scale of 2; any other merge is found."""
    base = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    b = np.full((4, 2), 0.01, np.float32)
    adapter = read_adapter(_adapter_file(tmp_path, b), ())
    name = "model.layers.0.self_attn.q_proj.weight"
    for file, values in (("base", base), ("merged", base + scale * (b @ np.ones((2, 3), np.float32)))):
        data = apr_bytes({name: ("F32", (4, 3), values.astype(np.float32).tobytes())})
        (tmp_path / file).write_bytes(data)
    merged = Written(read_apr(tmp_path / "merged"), ())
    if words is None:
        assert verify_merge(merged, read_apr(tmp_path / "base"), adapter) == pytest.approx(0.04, rel=1e-3)
    else:
        with pytest.raises(EngineOutputError, match=words):
            verify_merge(merged, read_apr(tmp_path / "base"), adapter)


@pytest.mark.parametrize("metadata", ['{"lora_alpha": null}', "[]", "{}", "{", '{"lora_alpha": "much"}'])
def test_merge_of_an_adapter_without_alpha_is_told_as_not_compared(tmp_path: Path, metadata: str) -> None:
    """A check that could not be made is said to be one."""
    path = _adapter_file(tmp_path, np.full((4, 2), 0.01, np.float32))
    assert uncompared(read_adapter(path, ()), "apr finetune") == []
    path.with_name("metadata.json").write_text(metadata)
    (finding,) = uncompared(read_adapter(path, ()), "apr finetune")
    assert (finding.code, finding.command) == ("merge-not-compared", "apr finetune")


def test_config_mismatches_names_each_key_that_changes_the_model() -> None:
    """Another head count or rope base is another model; a number written differently is not."""
    metadata = {"num_heads": 4, "rope_theta": 10000.0, "rms_norm_eps": 1e-6, "hidden_size": 64}
    assert (
        config_mismatches(
            {"num_attention_heads": 4, "rope_theta": 10000, "rms_norm_eps": 9.999999e-7, "hidden_size": 64}, metadata
        )
        == []
    )
    wrong = config_mismatches({"num_attention_heads": 1, "rope_theta": 1e6, "rms_norm_eps": 1e-6}, metadata)
    assert wrong == [
        "hidden_size None where the checkpoint has 64",
        "num_attention_heads 1 where the checkpoint has 4",
        "rope_theta 1000000.0 where the checkpoint has 10000.0",
    ]


def test_job_seconds_of_training_grows_with_the_model_and_is_bounded() -> None:
    """A small model leaves room for a whole recipe in ten minutes; nothing takes more than a day."""
    job = FinetuneJob(Checkpoint(Path("m"), "apr"), Path("d"), FinetuneParams(dataset="x"))
    assert job_seconds(job, 1 << 20) == 150
    assert 150 < job_seconds(job, 500 << 20) < job_seconds(job, 3000 << 20) <= 86400


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, r"4 bytes for F32 \(2,\)"),
        ({"w": {"dtype": "F32", "shape": [2]}}, "not as it should be"),
        ([], "not a JSON object"),
    ],
    ids=["wrong-size", "no-offsets", "list"],
)
def test_read_source_broken_safetensors_header_says_where(tmp_path: Path, header: object, words: str) -> None:
    """A header that contradicts itself is told, tensor by tensor."""
    raw = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(8))
    with pytest.raises(SourceFormatError, match=words):
        read_source(Checkpoint(tmp_path, "hf"))


@pytest.mark.parametrize("raw", [b"", b"GGUF", b"GGML" + bytes(40), b"GGUF" + bytes([3, 0, 0, 0]) + b"\xff" * 40])
def test_read_source_broken_gguf_says_so(tmp_path: Path, raw: bytes) -> None:
    """A torn or foreign file is no GGUF source."""
    path = tmp_path / "m.gguf"
    path.write_bytes(raw)
    with pytest.raises(SourceFormatError, match="GGUF"):
        read_source(Checkpoint(path, "gguf"))
