"""Answers prompts through `apr serve` or `apr run --batch-jsonl`, handing on each answer as it comes."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.engine.apr.argv import PROMPTS_FILE, shell_line
from apr_leaderboard.engine.apr.exits import own_words, raise_unless_ok
from apr_leaderboard.engine.apr.fallback import cpu_fallbacks
from apr_leaderboard.engine.apr.requests import (
    Answer,
    PrefillState,
    Route,
    batch_line,
    completion_of,
    request_for,
    unhonoured,
)
from apr_leaderboard.engine.apr.serving import Reply, Server
from apr_leaderboard.engine.jobs import GenerateJob
from apr_leaderboard.engine.process import Command, run_command
from apr_leaderboard.engine.protocol import Progress, Sink, Watch
from apr_leaderboard.errors import EngineCrashedError, EngineRefusedError
from apr_leaderboard.model.generation import FinishReason, Prompt
from apr_leaderboard.model.record import Finding

__all__ = ["Tally", "answer_seconds", "generate_by_batch", "generate_by_server", "lost_turn_ends"]

_LOAD_SECONDS: Final = 900.0
_SECONDS_PER_ANSWER: Final = 120.0
_SECONDS_PER_TOKEN: Final = 5.0
"""0.72.3 decodes about one token a second on a laptop's CPU with a 0.5B model."""
_TOKENIZE_SECONDS: Final = 60.0
_LOG_BYTES: Final = 16 << 20
"""How much of what the program says is looked through for a change of backend, which it may tell early."""
_TURN_END: Final = "<|im_end|>"
_CONTEXT_WORDS: Final = ("context limit exceeded", "context length", "context window")
_APPROXIMATED: Final = "does NOT reproduce the model's tokenization"


@dataclass
class Tally:
    """What the answers of one job add up to."""

    total: int
    started: float = field(default_factory=time.monotonic)
    answered: int = 0
    empty: int = 0
    n_tokens: int = 0
    cut_answers: int = 0
    cut_tokens: float = 0.0
    prefills: Counter[PrefillState] = field(default_factory=Counter)
    backends: Counter[str] = field(default_factory=Counter)
    texts: set[tuple[str, str]] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)
    log: str = ""

    def take(self, prompt: Prompt, answer: Answer, sink: Sink, watch: Watch) -> None:
        """Count one answer and hand it on."""
        completion, prefill, cut = completion_of(prompt, answer)
        sink(completion)
        self.answered += 1
        self.empty += not completion.text
        self.n_tokens += answer.n_tokens or 0
        self.prefills[prefill] += 1
        self.texts.add((prompt.task_id, completion.text))
        if cut:
            self.cut_answers += 1
            self.cut_tokens += (answer.n_tokens or 0) * cut / len(answer.text)
        speed = self.n_tokens / max(time.monotonic() - self.started, 1e-9)
        note = f"{self.n_tokens} tokens, {speed:.1f} tokens/s"
        watch(Progress("generate", self.answered, self.total, "answers", note))

    def figures(self) -> dict[str, float | int | str | bool]:
        """For the stage record."""
        seconds = time.monotonic() - self.started
        figures: dict[str, float | int | str | bool] = {
            "n_prompts": self.total,
            "n_answers": self.answered,
            "n_empty": self.empty,
            "n_tokens": self.n_tokens,
            "n_distinct": len(self.texts),
            "tokens_per_second": self.n_tokens / seconds if seconds > 0 else 0.0,
        }
        if self.backends:
            figures["backend"] = "+".join(sorted(self.backends))
        for state in (PrefillState.FOUND, PrefillState.MISSING):
            if self.prefills[state]:
                figures[f"prefill_{state}"] = self.prefills[state]
        return figures

    def findings(self, command: str) -> list[Finding]:
        """What the answers show of the program."""
        found = []
        if self.cut_answers:
            found.append((
                "stop-not-honoured",
                f"stop strings do not end generation: {self.cut_answers} of {self.answered} answers went on past one,"
                f" about {self.cut_tokens:.0f} of {self.n_tokens} tokens for nothing; they were cut afterwards",
            ))  # fmt: skip
        lines = [line.strip() for line in self.log.splitlines()]
        fallbacks = cpu_fallbacks(self.log)
        if fallbacks or len(self.backends) > 1:
            counts = ", ".join(f"{count} on {name}" for name, count in sorted(self.backends.items()))
            found.append(("cpu-fallback", f"answers by backend: {counts or 'unknown'}; {'; '.join(fallbacks[:2])}"))
        if approximated := [line for line in lines if _APPROXIMATED in line]:
            found.append(("tokenizer-approximated", approximated[0]))
        return [Finding(code=code, message=message, command=command) for code, message in found]


def answer_seconds(max_tokens: int) -> float:
    """The longest one answer may take: generous, yet bounded."""
    return _SECONDS_PER_ANSWER + _SECONDS_PER_TOKEN * max_tokens


def generate_by_server(
    argv: tuple[str, ...], job: GenerateJob, out: Path, sink: Sink, watch: Watch
) -> tuple[Tally, list[Finding]]:
    """Ask `apr serve` one prompt after the other; the requests are kept in `requests.jsonl`."""
    requests = [request_for(prompt, job.params) for prompt in job.prompts]
    with (out / "requests.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"path": request.path, "body": request.body}) + "\n" for request in requests)
    command = Command(argv, timeout=_LOAD_SECONDS, name="apr")
    tally = Tally(total=len(job.prompts))
    with Server(command, out / "serve.log") as server:
        lost = lost_turn_ends(server, job.prompts)
        backend = str(server.get("/health").body.get("compute_mode", "unknown"))
        for prompt, request in zip(job.prompts, requests, strict=True):
            reply = server.post(request.path, request.body, answer_seconds(job.params.max_tokens))
            answer = _answer_from_reply(reply, job.params.max_tokens)
            if answer is None:
                tally.failures.append(f"{prompt.task_id}: HTTP {reply.status}: {reply.error}")
                continue
            tally.backends[backend] += 1
            tally.take(prompt, answer, sink, watch)
        tally.log = server.log_text(_LOG_BYTES)
    _raise_unless_complete(tally, argv, tally.log)
    line = f"{shell_line(argv)}  # then POST {out / 'requests.jsonl'} line by line"
    return tally, unhonoured(job.prompts, job.params, Route.SERVE, line) + tally.findings(line) + lost


def lost_turn_ends(server: Server, prompts: Sequence[Prompt]) -> list[Finding]:
    """A finding where the program's tokenizer does not see the end of a turn after what the turn ends with.

    0.72.3 lets a token of the vocabulary such as `.<` swallow the beginning of `<|im_end|>`. Each last character is
    tried once; models without that marker are left alone.
    """
    turns = [[message.content for message in prompt.messages] for prompt in prompts if prompt.raw is None]
    marker = _token_ids(server, "\n" + _TURN_END)
    if len(marker) != 2:
        return []
    last = {text[-1:] for texts in turns for text in texts}
    swallowed = {end for end in last if end and marker[-1] not in _token_ids(server, end + _TURN_END)}
    hit = sum(any(text[-1:] in swallowed for text in texts) for texts in turns)
    if not hit:
        return []
    shown = " ".join(sorted(swallowed))
    body = json.dumps({"text": min(swallowed) + _TURN_END})
    return [
        Finding(
            code="turn-end-lost",
            message=f"{hit} of {len(prompts)} prompts have a turn whose {_TURN_END} is not seen as one token after"
            f" {shown}: the model reads another prompt than its template says",
            command=f"{shell_line(server.argv)}  # then POST /tokenize {body}: token {marker[-1]} is missing",
        )
    ]


def _token_ids(server: Server, text: str) -> list[int]:
    ids = server.post("/tokenize", {"text": text}, _TOKENIZE_SECONDS).body.get("token_ids", [])
    return ids if isinstance(ids, list) else []


def generate_by_batch(
    argv: tuple[str, ...], job: GenerateJob, out: Path, sink: Sink, watch: Watch
) -> tuple[Tally, list[Finding]]:
    """Give all prompts to one `apr run --batch-jsonl`. Raises `EngineRefusedError` for prompts it has no words for."""
    try:
        lines = [batch_line(index, prompt) for index, prompt in enumerate(job.prompts)]
    except ValueError as error:
        raise EngineRefusedError("apr", str(error), command=argv) from error
    (out / PROMPTS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    tally = Tally(total=len(job.prompts))
    waiting = dict(enumerate(job.prompts))

    def on_line(line: str) -> None:
        document = _batch_document(line)
        prompt = waiting.pop(int(document["task_id"]), None) if str(document.get("task_id", "")).isdigit() else None
        if prompt is None:
            tally.failures.append(f"a line that answers no prompt: {line[:200]}")
            return
        answer = _answer_from_line(document, job.params.max_tokens)
        if answer is None:
            tally.failures.append(f"{prompt.task_id}: {document.get('error') or 'a line without a text'}")
            return
        tally.backends["gpu" if document.get("used_gpu") else "cpu"] += 1
        tally.take(prompt, answer, sink, watch)

    seconds = _LOAD_SECONDS + answer_seconds(job.params.max_tokens) * len(job.prompts)
    command = Command(argv, timeout=seconds, name="apr", log=out / "run.log", tail_bytes=_LOG_BYTES)
    finished = run_command(command, on_stdout_line=on_line)
    tally.log = finished.stderr_tail
    raise_unless_ok(finished, argv)
    _raise_unless_complete(tally, argv, finished.stderr_tail)
    line = shell_line(argv)
    return tally, unhonoured(job.prompts, job.params, Route.BATCH, line) + tally.findings(line)


def _answer_from_reply(reply: Reply, max_tokens: int) -> Answer | None:
    """The answer in a chat, completion or generate reply; None where the reply is an error."""
    if reply.status == 400 and _is_context_error(reply.error):
        return Answer("", FinishReason.CONTEXT)
    if reply.status != 200:
        return None
    body = reply.body
    try:
        if "token_ids" in body:  # /generate
            n_tokens = int(body["num_generated"])
            finish = FinishReason.LENGTH if n_tokens >= max_tokens else FinishReason.STOP
            return Answer(str(body["text"]), finish, n_tokens, len(body["token_ids"]) - n_tokens)
        choice, usage = body["choices"][0], body["usage"]
        text = choice["message"]["content"]
        n_tokens = int(usage["completion_tokens"])
        n_prompt_tokens = int(usage["prompt_tokens"])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    finish = FinishReason.STOP if choice.get("finish_reason") == "stop" else FinishReason.LENGTH
    if finish is FinishReason.LENGTH and n_tokens < max_tokens:
        finish = FinishReason.CONTEXT  # it says length, but the budget was not used up: the window was full
    return Answer(text or "", finish, n_tokens, n_prompt_tokens)


def _answer_from_line(document: Mapping[str, Any], max_tokens: int) -> Answer | None:
    error = document.get("error")
    if error:
        return Answer("", FinishReason.CONTEXT) if _is_context_error(str(error)) else None
    text, n_tokens = document.get("text"), document.get("tokens_generated")
    if not isinstance(text, str):
        return None
    if not isinstance(n_tokens, int):
        return Answer(text, FinishReason.UNKNOWN)
    return Answer(text, FinishReason.LENGTH if n_tokens >= max_tokens else FinishReason.UNKNOWN, n_tokens)


def _batch_document(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _is_context_error(words: str) -> bool:
    return any(part in words.lower() for part in _CONTEXT_WORDS)


def _raise_unless_complete(tally: Tally, argv: tuple[str, ...], stderr: str) -> None:
    if tally.answered == tally.total:
        return
    why = "; ".join(tally.failures[:3]) or own_words(stderr)
    raise EngineCrashedError(
        "apr",
        f"{tally.total - tally.answered} of {tally.total} prompts were not answered: {why}",
        command=argv,
        stderr=stderr,
    )
