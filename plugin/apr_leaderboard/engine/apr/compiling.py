"""`apr compile`: its command line, and the program it leaves, asked on its own.

The program is copied alone into an empty folder and started with an empty environment. It passes as the model's own
only if an answer of it is one the engine gives to the same prompt.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from apr_leaderboard.engine.apr.argv import model_argument
from apr_leaderboard.engine.apr.outputs import Figures
from apr_leaderboard.engine.jobs import Checkpoint, CompileJob
from apr_leaderboard.engine.process import Command, run_command
from apr_leaderboard.errors import EngineOutputError

__all__ = ["compile_argv", "verify_program"]

_PROBES: Final = ("hello", "def add(a, b):", "import os")
_PROBE_TOKENS: Final = 4
_PROBE_SECONDS: Final = 180.0


def compile_argv(binary: Path, job: CompileJob, out: Path) -> tuple[str, ...]:
    """`apr compile`, which starts cargo and takes minutes."""
    params = job.params
    flags = [f"--{name}" for name in ("release", "lto", "strip") if getattr(params, name)]
    return (str(binary), "compile", model_argument(job.model), "-o", str(out / params.output), *flags, "--json")


def verify_program(job: CompileJob, program: Path, binary: Path, argv: Sequence[str]) -> Figures:
    """size_bytes, runs_alone, n_answers_equal of three. Raises `EngineOutputError` for a program that is not it."""
    if not program.is_file() or not os.access(program, os.X_OK):
        raise EngineOutputError("apr", f"reported success but left no program {program.name}", command=argv)
    with tempfile.TemporaryDirectory(prefix="apr-alone-") as folder:
        alone = Path(shutil.copy2(program, folder))
        answers = [_ask_program(alone, probe, argv) for probe in _PROBES]
    own = [_ask_engine(binary, job.model, probe, argv) for probe in _PROBES]
    equal = sum(answer in both for answer, both in zip(answers, own, strict=True))
    if not equal:
        what = "every prompt with the same text" if len(set(answers)) == 1 else "every prompt otherwise than the model"
        message = f"the program runs alone and answers {what}: {answers[1]!r} to {_PROBES[1]!r}; the model's own: "
        raise EngineOutputError("apr", message + " or ".join(map(repr, sorted(own[1]))), command=argv)
    return {"size_bytes": program.stat().st_size, "runs_alone": True, "n_answers_equal": equal}


def _ask_program(program: Path, prompt: str, argv: Sequence[str]) -> str:
    """What the program says to a prompt, in its own folder, with nothing of ours in its environment."""
    words = ("/usr/bin/env", "-i", str(program), "--prompt", prompt, "--max-tokens", str(_PROBE_TOKENS))
    finished = run_command(Command(words, cwd=program.parent, timeout=_PROBE_SECONDS, name="apr"))
    if not finished.ok:
        how = "no answer in time" if finished.timed_out else f"exit code {finished.exit_code}"
        message = f"the program does not run alone: {how} to {prompt!r}"
        raise EngineOutputError("apr", message, command=argv, stderr=finished.stderr_tail)
    return finished.stdout_tail.strip()


def _ask_engine(binary: Path, model: Checkpoint, prompt: str, argv: Sequence[str]) -> set[str]:
    """What the engine says to the same prompt, greedily: as raw text, and as a turn of a chat."""
    tokens = ("--max-tokens", str(_PROBE_TOKENS))
    raw = (str(binary), "run", model_argument(model), "--prompt", prompt, *tokens, "--json")
    finished = run_command(Command(raw, timeout=_PROBE_SECONDS, name="apr"))
    answers = _texts([finished.stdout_tail]) if finished.ok else set()
    with tempfile.TemporaryDirectory(prefix="apr-asked-") as folder:
        prompts = Path(folder, "prompts.jsonl")
        prompts.write_text(json.dumps({"task_id": "0", "prompt": prompt}) + "\n", encoding="utf-8")
        batch = (str(binary), "run", model_argument(model), "--batch-jsonl", str(prompts), *tokens)
        finished = run_command(Command((*batch, "--temperature", "0"), timeout=_PROBE_SECONDS, name="apr"))
    answers |= _texts(finished.stdout_tail.split("\n")) if finished.ok else set()
    if not answers:
        raise EngineOutputError("apr", "the model answers no probe, so its program cannot be held to it", command=argv)
    return answers


def _texts(documents: Iterable[str]) -> set[str]:
    """The `text` of each JSON document; one that has none, such as an error, says nothing."""
    found = set()
    for document in documents:
        try:
            text = json.loads(document)["text"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(text, str):
            found.add(text.strip())
    return found
