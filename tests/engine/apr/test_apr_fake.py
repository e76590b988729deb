"""Ends the real program cannot be made to meet, played by a script in its place: crashes, torn output, silence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from apr_leaderboard.engine import (
    CheckJob,
    Checkpoint,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    ImportJob,
    InspectJob,
    MakeSmokeJob,
    PerplexityJob,
)
from apr_leaderboard.engine.apr import AprEngine, Route
from apr_leaderboard.engine.apr.generating import _answer_from_reply, lost_turn_ends
from apr_leaderboard.engine.apr.serving import Reply
from apr_leaderboard.engine.protocol import Progress, ignore_progress
from apr_leaderboard.errors import (
    EngineCrashedError,
    EngineOutputError,
    EngineRefusedError,
    EngineTimeoutError,
)
from apr_leaderboard.model.generation import Completion, DecodeParams, FinishReason, Message, Prompt
from apr_leaderboard.model.stage import FinetuneParams, ImportParams

_Fake = Callable[[str], Path]
_MODEL = Checkpoint(Path("/m/model.apr"), "apr")


def _prompts(n: int) -> tuple[Prompt, ...]:
    return tuple(Prompt(task_id=f"T/{i}", messages=(Message(role="user", content=f"q{i}"),)) for i in range(n))


def _is_gone(pid: int) -> bool:
    """Whether a process ends within seconds; a zombie that its new parent has not yet reaped counts as gone."""
    for _ in range(500):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.01)
    return False


def _line(index: int, text: str, **more: object) -> str:
    document = {"task_id": str(index), "text": text, "tokens_generated": 3, "used_gpu": False, **more}
    return f"printf '%s\\n' '{json.dumps(document)}'"


def _batch(binary: Path, out: Path, n: int, got: list[Completion]):  # type: ignore[no-untyped-def]
    engine = AprEngine(binary, route=Route.BATCH)
    job = GenerateJob(_MODEL, _prompts(n), DecodeParams(max_tokens=8))
    return engine.generate(job, out, got.append, ignore_progress)


def test_generate_by_batch_answers_in_any_order_reach_their_prompts(fake_apr: _Fake, tmp_path: Path) -> None:
    """Answers are told apart by index, not by order; empty text is kept as it is."""
    got: list[Completion] = []
    binary = fake_apr(f"{_line(1, 'one')}\n{_line(0, '')}")
    record = _batch(binary, tmp_path, 2, got)
    assert [(item.task_id, item.text) for item in got] == [("T/1", "one"), ("T/0", "")]
    assert record.figures["n_answers"] == 2
    assert json.loads((tmp_path / "prompts.jsonl").read_text().splitlines()[1]) == {"task_id": "1", "prompt": "q1"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"{_line(0, 'a')}\nexit 0", "2 of 3 prompts were not answered"),
        (f"{_line(0, 'a')}\nprintf '%s' '{{\"task_id\":\"1\",\"te'", "2 of 3 .*: a line that answers no prompt"),
        (f"{_line(0, 'a')}\necho 'error: Inference failed: out of memory' >&2\nexit 8", "out of memory"),
        (f"{_line(0, 'a')}\nkill -SEGV $$", "signal 11"),
        (f"{_line(0, 'a')}\n{_line(0, 'again')}", "2 of 3"),
        (f"{_line(0, 'a')}\n{_line(1, '', error='GPU generation failed')}", "T/1: GPU generation failed"),
        (f"{_line(0, 'a')}\necho '{{\"task_id\": \"1\"}}'", "T/1: a line without a text"),
    ],
    ids=["stops-early", "torn-line", "error", "segfault", "answers-twice", "error-per-prompt", "no-text"],
)  # fmt: skip
def test_generate_by_batch_that_fails_part_way_keeps_what_was_answered(
    fake_apr: _Fake, tmp_path: Path, body: str, words: str
) -> None:
    """The caller has the first answer; the error says how many are missing, and why."""
    got: list[Completion] = []
    with pytest.raises(EngineCrashedError, match=words):
        _batch(fake_apr(body), tmp_path, 3, got)
    assert [item.text for item in got] == ["a"]


def test_generate_by_batch_line_without_a_count_of_tokens_is_not_measured(fake_apr: _Fake, tmp_path: Path) -> None:
    """A count that was not told is none, and not nought."""
    got: list[Completion] = []
    _batch(fake_apr("""echo '{"task_id": "0", "text": "a"}'"""), tmp_path, 1, got)
    assert [(item.text, item.n_tokens, item.finish) for item in got] == [("a", None, FinishReason.UNKNOWN)]


def test_generate_by_batch_fallback_told_early_in_a_long_log_is_a_finding(fake_apr: _Fake, tmp_path: Path) -> None:
    """What is said after it, however much, hides nothing."""
    noise = "i=0; while [ $i -lt 2000 ]; do echo 'one more line of progress, rather long' >&2; i=$((i+1)); done"
    body = f"echo 'GPU full, falling back to CPU' >&2\n{noise}\n{_line(0, 'a')}"
    record = _batch(fake_apr(body), tmp_path, 1, [])
    assert "cpu-fallback" in {finding.code for finding in record.findings}


def test_generate_by_batch_context_overflow_is_a_finish_reason(fake_apr: _Fake, tmp_path: Path) -> None:
    """A prompt that does not fit is the candidate's limit, not a broken run."""
    got: list[Completion] = []
    _batch(fake_apr(_line(0, "", error="Context limit exceeded: 3219 tokens > max 512.")), tmp_path, 1, got)
    assert [(item.text, item.finish) for item in got] == [("", FinishReason.CONTEXT)]


def test_generate_by_batch_fallback_to_the_cpu_is_a_finding(fake_apr: _Fake, tmp_path: Path) -> None:
    """A quiet change of backend is reported."""
    body = f"{_line(0, 'a', used_gpu=True)}\necho 'context full, falling back to CPU' >&2\n{_line(1, 'b')}"
    record = _batch(fake_apr(body), tmp_path, 2, [])
    (finding,) = [finding for finding in record.findings if finding.code == "cpu-fallback"]
    assert "1 on cpu, 1 on gpu" in finding.message
    assert "falling back to CPU" in finding.message


def test_generate_by_batch_approximated_tokenizer_is_a_finding(fake_apr: _Fake, tmp_path: Path) -> None:
    """A model whose words are cut otherwise than it learnt them is reported, and not as a change of backend."""
    warning = "falling back to greedy longest-match, which does NOT reproduce the model's tokenization"
    record = _batch(fake_apr(f'echo "{warning}" >&2\n{_line(0, "")}'), tmp_path, 1, [])
    codes = {finding.code for finding in record.findings}
    assert "tokenizer-approximated" in codes
    assert "cpu-fallback" not in codes
    assert record.figures["n_empty"] == 1


def test_generate_by_batch_sink_that_raises_ends_the_program(fake_apr: _Fake, tmp_path: Path) -> None:
    """The caller's own error passes through, and nothing keeps running."""

    def sink(completion: Completion) -> None:
        raise KeyboardInterrupt

    binary = fake_apr(f"echo $$ > {tmp_path}/pid\n{_line(0, 'a')}\nsleep 600")
    engine = AprEngine(binary, route=Route.BATCH)
    with pytest.raises(KeyboardInterrupt):
        engine.generate(GenerateJob(_MODEL, _prompts(1), DecodeParams()), tmp_path, sink, ignore_progress)
    assert _is_gone(int((tmp_path / "pid").read_text()))


def test_generate_by_server_that_ends_at_once_is_a_crash(fake_apr: _Fake, tmp_path: Path) -> None:
    """A server that never listens is told with its own words."""
    engine = AprEngine(fake_apr("echo 'error: Model load failed: bad file' >&2; exit 6"))
    with pytest.raises(EngineCrashedError, match="ended before it listened: Model load failed: bad file"):
        engine.generate(GenerateJob(_MODEL, _prompts(1), DecodeParams()), tmp_path, lambda item: None, ignore_progress)


def test_run_of_a_silent_program_ends_at_the_timeout(fake_apr: _Fake, tmp_path: Path) -> None:
    """A stage that hangs is ended and said to have timed out."""
    engine = AprEngine(fake_apr("sleep 600"), stage_timeout=0.5)
    started = time.monotonic()
    with pytest.raises(EngineTimeoutError, match="not done after"):
        engine.run(CheckJob(_MODEL), tmp_path, ignore_progress)
    assert time.monotonic() - started < 30


def test_run_finetune_timeout_says_how_far_it_got_and_keeps_the_losses(fake_apr: _Fake, tmp_path: Path) -> None:
    """The shell, the program and its child are gone; progress was seen; the loss log is there."""
    seen: list[Progress] = []
    body = f"echo $$ > {tmp_path}/pid\necho '  Epoch 1/3 step 2/9: loss=1.5 lr=1.0e-3' >&2\nsleep 600"
    engine = AprEngine(fake_apr(body), stage_timeout=2.0)
    job = FinetuneJob(_MODEL, tmp_path / "d.jsonl", FinetuneParams(dataset="d"))
    with pytest.raises(EngineTimeoutError, match=r"at epoch 1 of 3, sample 2 of 9, loss 1\.5000"):
        engine.run(job, tmp_path, seen.append)
    assert [(step.done, step.total) for step in seen] == [(2, 27)]
    assert seen[0].figures == {"loss": 1.5, "learning_rate": 1e-3, "epoch": 1}
    assert json.loads((tmp_path / "losses.jsonl").read_text())["loss"] == 1.5
    assert _is_gone(int((tmp_path / "pid").read_text()))


def test_run_finetune_without_an_adapter_is_an_output_error(fake_apr: _Fake, tmp_path: Path) -> None:
    """Exit code 0 without a checkpoint is not success."""
    job = FinetuneJob(_MODEL, tmp_path / "d.jsonl", FinetuneParams(dataset="d"))
    with pytest.raises(EngineOutputError, match="left no adapter"):
        AprEngine(fake_apr("exit 0")).run(job, tmp_path, ignore_progress)


@pytest.mark.parametrize(
    ("job", "body", "words"),
    [
        (ImportJob(Checkpoint(Path("/m"), "hf"), ImportParams()), "exit 0", "wrote no model.apr"),
        (ImportJob(Checkpoint(Path("/m"), "hf"), ImportParams()), "echo x > $4", "too few"),
        (CheckJob(_MODEL), "echo not json", "not one JSON document"),
        (InspectJob(_MODEL), "echo '[]'", "not one JSON document"),
        (CheckJob(_MODEL), "echo '{}'", "lacks or misstates 'stages'"),
        (CheckJob(_MODEL), "echo '{\"stages\": []}'", "lacks or misstates stages, of which there are none"),
        (ExportJob(_MODEL, "gguf"), "exit 0", "cannot be read"),
    ],
    ids=[
        "import-nothing", "import-torn", "check-text", "inspect-list", "check-empty", "check-nothing", "export-nothing",
    ],
)  # fmt: skip
def test_run_success_line_without_the_goods_is_an_output_error(
    fake_apr: _Fake, tmp_path: Path, job: CheckJob | ImportJob | InspectJob | ExportJob, body: str, words: str
) -> None:
    """Whatever the exit code says, the output is opened."""
    with pytest.raises(EngineOutputError, match=words):
        AprEngine(fake_apr(body)).run(job, tmp_path, ignore_progress)


def test_run_check_that_exits_5_with_its_document_is_an_answer(
    fake_apr: _Fake, tmp_path: Path, recorded: Callable[[str], str]
) -> None:
    """A self-test that did not pass is the candidate's result, not a failure to ask."""
    document = json.loads(recorded("check.json"))
    document["stages"][0]["status"] = "FAIL"
    (tmp_path / "check.json").write_text(json.dumps(document))
    binary = fake_apr(f"cat {tmp_path}/check.json; echo 'error: Validation failed' >&2; exit 5")
    record = AprEngine(binary).run(CheckJob(_MODEL), tmp_path, ignore_progress)
    assert record.figures["stages_passed"] == 9
    assert [finding.code for finding in record.findings] == ["self-check-failed"]


def test_run_check_stage_without_a_name_is_a_finding(fake_apr: _Fake, tmp_path: Path) -> None:
    """A stage that failed is told, whatever it is called."""
    binary = fake_apr("""echo '{"stages": [{"status": "FAIL", "details": "no"}]}'; exit 5""")
    record = AprEngine(binary).run(CheckJob(_MODEL), tmp_path, ignore_progress)
    assert [finding.message for finding in record.findings] == ["unnamed: no"]


@pytest.mark.parametrize(
    ("told", "n_tokens", "finish"),
    [("stop", 3, FinishReason.STOP), ("length", 8, FinishReason.LENGTH), ("length", 3, FinishReason.CONTEXT)],
)
def test_answer_cut_before_its_budget_was_cut_by_the_context(told: str, n_tokens: int, finish: FinishReason) -> None:
    """The program says length either way; the count of tokens tells which."""
    choice = {"message": {"content": "a"}, "finish_reason": told}
    body = {"choices": [choice], "usage": {"completion_tokens": n_tokens, "prompt_tokens": 5}}
    answer = _answer_from_reply(Reply(200, json.dumps(body).encode()), 8)
    assert answer is not None
    assert (answer.finish, answer.n_tokens, answer.n_prompt_tokens) == (finish, n_tokens, 5)


@pytest.mark.parametrize(
    "body",
    [{"token_ids": [1, 2]}, {"token_ids": [1], "num_generated": 1}, {"choices": []}, {"choices": [{}], "usage": {}}],
)
def test_answer_of_a_reply_that_lacks_its_parts_is_none(body: dict[str, object]) -> None:
    """A server that says 200 and half an answer has not answered."""
    assert _answer_from_reply(Reply(200, json.dumps(body).encode()), 8) is None


def test_run_perplexity_of_a_long_text_says_how_much_was_given(
    fake_apr: _Fake, tmp_path: Path, recorded: Callable[[str], str]
) -> None:
    """One argument holds 128 KiB: what did not fit is a finding, cut between characters."""
    (tmp_path / "eval.json").write_text(recorded("eval-above-threshold.json"))
    (tmp_path / "long.txt").write_text("é" * 100_000, encoding="utf-8")
    engine = AprEngine(fake_apr(f"cat {tmp_path}/eval.json"))
    record = engine.run(PerplexityJob(_MODEL, tmp_path / "long.txt"), tmp_path, ignore_progress)
    assert [finding.code for finding in record.findings] == ["text-cut"]
    assert (tmp_path / "text.txt").read_text(encoding="utf-8") == "é" * 60_000


@pytest.mark.parametrize("op", ["command", "produces", "run"])
def test_engine_job_it_is_not_given_is_refused(fake_apr: _Fake, tmp_path: Path, op: str) -> None:
    """What is not among the capabilities is refused in every way of asking."""
    engine = AprEngine(fake_apr(""))
    assert MakeSmokeJob.op not in engine.capabilities()
    arguments = {"command": (tmp_path,), "produces": (), "run": (tmp_path, ignore_progress)}[op]
    with pytest.raises(EngineRefusedError):
        getattr(engine, op)(MakeSmokeJob(), *arguments)


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"error": {"message": "no"}}', b'{"error": "no"}'])
def test_reply_of_any_bytes_has_an_error_text(raw: bytes) -> None:
    """Whatever a server sends back can be told."""
    assert isinstance(Reply(500, raw).error, str)


class _Tokenizer:
    """Answers /tokenize as a server whose vocabulary has the token `.<`."""

    argv = ("apr", "serve", "run", "m")

    def __init__(self, marker: list[int]) -> None:
        self._marker = marker

    def post(self, path: str, body: dict[str, str], timeout: float) -> Reply:
        text = body["text"].removesuffix("<|im_end|>")
        ids = [1, 2, 3, 4] if text == "." else [7, *self._marker]
        return Reply(200, json.dumps({"token_ids": ids}).encode())


def test_lost_turn_ends_counts_prompts_whose_turn_end_is_swallowed() -> None:
    """Only the turns that end with the swallowing character are counted; raw prompts have no turns."""
    said = [("a.",), ("a", "b."), ("a",), ("",)]
    prompts = [
        Prompt(task_id="t", messages=tuple(Message(role="user", content=text) for text in texts)) for texts in said
    ]
    prompts.append(Prompt(task_id="r", raw="x."))
    (finding,) = lost_turn_ends(_Tokenizer([99]), prompts)  # type: ignore[arg-type]
    assert finding.code == "turn-end-lost"
    assert finding.message.startswith("2 of 5 prompts")
    assert "token 99 is missing" in finding.command


def test_lost_turn_ends_of_a_model_without_the_marker_says_nothing() -> None:
    """Where the marker is no single token to begin with, nothing is lost."""
    prompts = [Prompt(task_id="t", messages=(Message(role="user", content="a."),))]
    assert lost_turn_ends(_Tokenizer([5, 6, 7]), prompts) == []  # type: ignore[arg-type]
