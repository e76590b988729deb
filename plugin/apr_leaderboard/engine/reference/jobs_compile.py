"""Make one file that answers prompts by itself, needing Python and NumPy alone, and hold it against the engine."""

from __future__ import annotations

import argparse
import codecs
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import jax.numpy as jnp
import numpy as np

from apr_leaderboard.engine.reference.decode import Decoder
from apr_leaderboard.engine.reference.forward import forward
from apr_leaderboard.engine.reference.jobs_generate import make_requests
from apr_leaderboard.engine.reference.lineage import extend_lineage, lineage_text
from apr_leaderboard.engine.reference.loader import LoadedModel, load_model
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.program.answer import Model
from apr_leaderboard.engine.reference.program_file import write_program
from apr_leaderboard.engine.reference.transfer import gguf_to_hf
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.generation import DecodeParams, Message, Prompt

__all__ = ["add_arguments", "check_program", "run"]

_PROBES: Final = (
    "Write a function that adds two numbers.",
    "def add(a, b):\n    return",
    "It's 2026, ein Ünïcode 文字\t x\n\n  y",
)
_PROBE_TOKENS: Final = 12
_PROBE_SECONDS: Final = 1800.0
_LOGITS_OFF: Final = 1e-3
"""Share of the largest logit by which the program's may differ from the engine's: sums are taken in another order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and the program's name."""
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder or a .gguf file")
    parser.add_argument("--name", default="model", help="the program's file name")


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/NAME. Block formats are stored as float32: the program knows no others."""
    target = args.out / args.name
    lineage = lineage_text(extend_lineage("compile", {"output": args.name}, {"model": args.model}, "model"))

    def tell(done: int, total: int) -> None:
        report.progress("compile", done, total, "tensors")

    with tempfile.TemporaryDirectory(dir=args.out) as scratch:
        folder = args.model
        if args.model.suffix == ".gguf":
            folder = Path(scratch, "model")
            gguf_to_hf(args.model, folder, None, tell)
        write_program(folder, target, lineage, tell)
    check_program(target, load_model(args.model))
    figures: dict[str, float | int | str | bool] = {
        "size_bytes": target.stat().st_size, "runs_alone": True, "needs": "Python, NumPy",
        "n_answers_equal": len(_PROBES),
    }  # fmt: skip
    return OpResult(args.name, "program", figures)


def check_program(program: Path, model: LoadedModel) -> float:
    """Ask it in an empty folder; the largest difference of logits, as a share of the largest logit.

    Raises EngineOutputError where tokens, logits or greedy answers are not the engine's own.
    """
    own, worst = Model(program), 0.0
    requests = make_requests(model, [_prompt(model, probe) for probe in _PROBES])
    decoder = Decoder(model, DecodeParams(max_tokens=_PROBE_TOKENS))
    answers = {completion.task_id: completion.text for completion in decoder.run(requests)}
    with tempfile.TemporaryDirectory() as folder:
        alone = Path(shutil.copy2(program, folder))
        for probe, request in zip(_PROBES, requests, strict=True):
            if own.ids(probe) != list(request.ids):
                raise EngineOutputError("reference", f"the program cuts {probe!r} into other tokens than the engine")
            theirs = np.asarray(forward(model.config, model.params, jnp.asarray([request.ids], jnp.int32))[0, -1])
            off = float(np.abs(own.logits(list(request.ids)) - theirs).max() / max(1e-6, float(np.abs(theirs).max())))
            worst = max(worst, off)
            if off > _LOGITS_OFF:
                raise EngineOutputError("reference", f"the program's logits for {probe!r} are off by {off:.3g}")
            said, expected = _ask(alone, probe), answers[probe]
            if said != expected:
                raise EngineOutputError("reference", f"the program answers {probe!r} with {said!r}, not {expected!r}")
    return worst


def _prompt(model: LoadedModel, text: str) -> Prompt:
    if model.codec.chat_template is None:
        return Prompt(task_id=text, raw=text)
    return Prompt(task_id=text, messages=(Message(role="user", content=text),))


def _ask(program: Path, prompt: str) -> str:
    """What the program says by itself: another Python, without this environment's variables, in its own folder."""
    words = [sys.executable, "-I", str(program), "--prompt", prompt, "--max-tokens", str(_PROBE_TOKENS)]
    try:
        done = subprocess.run(
            words, cwd=program.parent, env={}, capture_output=True, timeout=_PROBE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise EngineOutputError("reference", f"the program gave no answer within {_PROBE_SECONDS:g} s") from None
    if done.returncode:
        error = done.stderr.decode("utf-8", "replace").strip()
        raise EngineOutputError("reference", f"the program does not run alone: exit code {done.returncode}: {error}")
    # Like the engine's own answers: a character whose last bytes never came is left out, other bad bytes are U+FFFD.
    return codecs.getincrementaldecoder("utf-8")("replace").decode(done.stdout[:-1], final=False)
