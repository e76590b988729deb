"""The peer engines with a fake interpreter in place of torch or llama.cpp."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.engine import Checkpoint, GenerateJob, engine_names, ignore_progress, make_engine
from apr_leaderboard.engine.jobs import ImportJob, Job
from apr_leaderboard.engine.llama_cpp import LLAMA_CPP
from apr_leaderboard.engine.peers import PeerEngine
from apr_leaderboard.engine.transformers import TRANSFORMERS
from apr_leaderboard.errors import (
    EngineCrashedError,
    EngineMissingError,
    EngineOutputError,
    EngineRefusedError,
    RequestError,
)
from apr_leaderboard.model.generation import Completion, DecodeParams, FinishReason, Message, Prompt
from apr_leaderboard.model.stage import ImportParams

FAKE = """#!{python}
import json, sys
words = sys.argv[1:]
if "--versions" in words:
    print(json.dumps({{"versions": {{"transformers": "9.9", "llama-cpp-python": "9.9", "device": "toy"}}}}))
    sys.exit(0)
prompts = [json.loads(line) for line in open(words[words.index("--prompts") + 1], encoding="utf-8")]
{body}
"""
ANSWER = """
for one in prompts:
    kept = {"task_id": one["task_id"], "sample": one["sample"], "text": one["rendered"][-12:], "finish": "stop"}
    print(json.dumps({"completion": kept}))
print(json.dumps({"record": {"figures": {"n_completions": len(prompts), "n_tokenised_otherwise": OTHERS}}}))
"""
Fake = Callable[[str], PeerEngine]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """An engine whose interpreter is a script with the body given."""

    def make(body: str) -> PeerEngine:
        script = tmp_path / "python"
        script.write_text(FAKE.format(python=sys.executable, body=body), encoding="utf-8")
        script.chmod(0o755)
        monkeypatch.setenv("APR_TRANSFORMERS_PYTHON", str(script))
        return PeerEngine(TRANSFORMERS)

    return make


@pytest.fixture
def model(tmp_path: Path) -> Checkpoint:
    """A model folder of which only the tokenizer is there: rendering reads no more."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}<assistant>"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}), encoding="utf-8")
    return Checkpoint(folder, "hf")


def _job(model: Checkpoint, **fields: Any) -> GenerateJob:
    chat = Prompt(task_id="T/0", messages=(Message(role="user", content="hi"),), prefill="```", **fields)
    return GenerateJob(model, (chat, Prompt(task_id="T/1", raw="def f():")), DecodeParams(max_tokens=4))


def test_registry_knows_both_peers() -> None:
    """Both can be named after --apr-engine; the default stays the first."""
    assert engine_names()[0] == "reference"
    assert {"transformers", "llama_cpp"} <= set(engine_names())


def test_peer_generates_hands_on_rendered_text_and_answers(fake: Fake, model: Checkpoint, tmp_path: Path) -> None:
    """The worker is given the template's text with the prefill, and each answer reaches the sink."""
    engine, found = fake(ANSWER.replace("OTHERS", "0")), list[Completion]()
    out = tmp_path / "out"
    out.mkdir()
    record = engine.generate(_job(model), out, found.append, ignore_progress)
    assert [one.text for one in found] == ["ssistant>```", "def f():"]
    assert found[0].finish is FinishReason.STOP
    assert record.figures["n_completions"] == 2
    assert record.findings == ()
    lines = [json.loads(line) for line in (out / "prompts.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines[0]["rendered"] == "<user>hi<assistant>```"
    assert len(lines[0]["ids"]) == len(lines[0]["rendered"])


def test_peer_tokenising_otherwise_is_a_finding(fake: Fake, model: Checkpoint, tmp_path: Path) -> None:
    """A prompt that is other tokens to the peer is told with the record."""
    record = fake(ANSWER.replace("OTHERS", "1")).generate(_job(model), tmp_path, lambda _: None, ignore_progress)
    assert [one.code for one in record.findings] == ["tokenised-otherwise"]
    assert record.findings[0].message.startswith("1 of 2 prompts")


def test_peer_asked_for_drafts_tells_that_it_makes_none(fake: Fake, model: Checkpoint, tmp_path: Path) -> None:
    """It answers as it always does; the record says what was passed over."""
    job = replace(_job(model), params=DecodeParams(max_tokens=4, draft_tokens=8))
    record = fake(ANSWER.replace("OTHERS", "0")).generate(job, tmp_path, lambda _: None, ignore_progress)
    assert [one.code for one in record.findings] == ["draft-not-honoured"]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (ANSWER.replace("for one in prompts", "for one in prompts[:1]"), EngineOutputError, "no answer to 1 prompts"),
        (ANSWER.replace('one["task_id"]', '"T/9"'), EngineOutputError, "which is not open"),
        ("print('hello')", EngineOutputError, "unexpected output"),
        ("sys.exit('error: out of memory')", EngineCrashedError, "out of memory"),
        ("sys.stderr.write('error: no such file\\n'); sys.exit(3)", RequestError, "no such file"),
        ("sys.stderr.write('error: not byte-level\\n'); sys.exit(5)", EngineRefusedError, "not byte-level"),
    ],
    ids=["one-missing", "unasked", "no-json", "crash", "bad-input", "refused"],
)
def test_peer_trouble_is_the_right_error(
    fake: Fake, model: Checkpoint, tmp_path: Path, body: str, kind: type[Exception], words: str
) -> None:
    """Each way a worker can go wrong has its own error."""
    engine = fake(body.replace("OTHERS", "0"))
    with pytest.raises(kind, match=words):
        engine.generate(_job(model), tmp_path, lambda _: None, ignore_progress)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("APR_LLAMA_CPP_SLOTS", "many", "argument --slots: got 'many'; accepted: a whole number over 0"),
     ("APR_LLAMA_CPP_ROOM", "0", "argument --room: got '0'; accepted: a whole number over 0"),
     ("APR_LLAMA_CPP_THREADS", "x", "argument --threads: invalid int value: 'x'")],
)  # fmt: skip
def test_peer_setting_that_is_none_is_a_wrong_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, said: str
) -> None:
    """The worker's own argument parser, behind a module of llama.cpp's name: the variable is wrong, nothing broke."""
    (tmp_path / "llama_cpp.py").write_text("", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("APR_LLAMA_CPP_PYTHON", sys.executable)
    monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=f"llama_cpp: {said}; set by APR_LLAMA_CPP_SLOTS, APR_LLAMA_CPP_ROOM"):
        PeerEngine(LLAMA_CPP)


def test_peer_given_an_empty_prompt_refuses_the_request(fake: Fake, model: Checkpoint, tmp_path: Path) -> None:
    """A prompt of no token would be answered from what stands beside it."""
    job = GenerateJob(model, (Prompt(task_id="T/0", raw=""),), DecodeParams(max_tokens=4))
    with pytest.raises(RequestError, match="T/0: the prompt is empty"):
        fake("").generate(job, tmp_path, lambda _: None, ignore_progress)


def test_peer_refuses_every_other_job(fake: Fake, model: Checkpoint, tmp_path: Path) -> None:
    """It says which job and what it does do."""
    engine = fake("")
    job: Job = ImportJob(model, ImportParams())
    assert engine.capabilities() == {"generate"}
    with pytest.raises(EngineRefusedError, match="import is not offered: transformers answers prompts"):
        engine.run(job, tmp_path, ignore_progress)
    with pytest.raises(EngineRefusedError, match="import is not offered"):
        engine.produces(job)


def test_peer_given_an_apr_file_refuses_it(fake: Fake, tmp_path: Path) -> None:
    """A format the library does not read is refused before anything is started."""
    job = _job(Checkpoint(tmp_path / "m.apr", "apr"))
    with pytest.raises(EngineRefusedError, match="got format 'apr'; accepted: gguf, hf"):
        fake("").generate(job, tmp_path, lambda _: None, ignore_progress)


def test_peer_settings_change_its_identity(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two number types share no results."""
    plain = fake("").identity()
    assert plain.version == "9.9+toy"
    monkeypatch.setenv("APR_TRANSFORMERS_DTYPE", "bfloat16")
    assert fake("").identity().build != plain.build


def test_peer_without_its_library_names_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing, and both ways to get it, in one line."""
    monkeypatch.setenv("APR_LLAMA_CPP_PYTHON", str(tmp_path / "none"))
    with pytest.raises(EngineMissingError, match="APR_LLAMA_CPP_PYTHON"):
        make_engine("llama_cpp")
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n', encoding="utf-8")
    bare.chmod(0o755)
    monkeypatch.setenv("APR_LLAMA_CPP_PYTHON", str(bare))
    with pytest.raises(EngineMissingError, match="No module named 'llama_cpp'"):
        PeerEngine(LLAMA_CPP)
