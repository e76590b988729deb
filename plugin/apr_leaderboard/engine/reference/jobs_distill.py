"""Distil: train a model towards what one or more teachers say, token by token or answer by answer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from apr_leaderboard.engine.reference.distilling import answer_training, distilling
from apr_leaderboard.engine.reference.fitting import Training, fit
from apr_leaderboard.engine.reference.lineage import extend_lineage, lineage_text
from apr_leaderboard.engine.reference.loader import LoadedModel, load_model
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.pairs import Pair, TokenPairs, read_pairs, tokenize_pairs
from apr_leaderboard.engine.reference.teaching import answers_of, require_same_vocabulary
from apr_leaderboard.engine.reference.train import LossLog
from apr_leaderboard.engine.reference.trainee import (
    Trainee,
    add_training_arguments,
    log_figures,
    open_trainee,
    settings_of,
)
from apr_leaderboard.engine.reference.weights import load_hf, write_trained
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.stage import DistillParams

__all__ = ["add_arguments", "run"]

_MAX_TOKENS: Final = 256
_EVERY: Final = 16
"""Answers of a teacher between two reports."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The student, the teachers, the pairs, and the fields of `DistillParams`."""
    add_training_arguments(parser)
    given = argparse.SUPPRESS
    parser.add_argument(
        "--teacher", type=Path, action="append", required=True, help="a folder or a .gguf file; once more for each"
    )
    parser.add_argument("--data", type=Path, required=True, help="JSONL of instruction and response")
    parser.add_argument("--strategy", default=given, help="standard, progressive or ensemble (standard)")
    parser.add_argument("--mode", default=given, help="logits or text (logits)")
    parser.add_argument("--temperature", type=float, default=given, help="logits: softens both (2)")
    parser.add_argument("--alpha", type=float, default=given, help="logits: share of the teacher's term (0.5)")
    parser.add_argument("--max-tokens", type=int, default=given, help=f"text: longest answer ({_MAX_TOKENS})")


def run(args: argparse.Namespace, report: Reporter) -> OpResult:
    """Write OUT/model and OUT/losses.jsonl."""
    first, *others = map(str, args.teacher)
    settings = settings_of(DistillParams, args, dataset=str(args.data), teacher=first, more_teachers=tuple(others))
    trainee = open_trainee(args.model, "distillation")
    pairs = read_pairs(args.data)
    prepare = _by_logits if settings.mode == "logits" else _by_answers
    training, tokens = prepare(trainee, args.teacher, pairs, settings, report)
    log = LossLog(args.out / "losses.jsonl")
    trained, held = fit(training, settings, log, report)
    write_trained(trainee.source, args.out / "model", trainee.config, trained)
    inputs = {"model": args.model, "data": args.data}
    inputs |= {f"teacher{number}": teacher for number, teacher in enumerate(args.teacher, 1)}
    params = settings.model_dump(exclude={"dataset", "teacher", "more_teachers"})
    lineage = extend_lineage("distill", params, inputs, "model")
    (args.out / "model" / "lineage.json").write_text(lineage_text(lineage), encoding="utf-8")
    extra = ("kd_loss", "ce_loss") if settings.mode == "logits" else ("ce_loss",)
    counts = {"n_teachers": len(args.teacher), "n_pairs": len(tokens.tokens), "n_counted_tokens": tokens.n_counted}
    return OpResult("model", "hf", {**log_figures(log, held, *extra), **counts})


def _by_logits(
    trainee: Trainee, names: list[Path], pairs: list[Pair], settings: DistillParams, report: Reporter
) -> tuple[Training, TokenPairs]:
    teachers: list[LoadedModel] = []
    for name in names:
        report.progress("loading the teachers", len(teachers), len(names), "models")
        teacher = load_model(name)
        require_same_vocabulary(trainee.codec, teacher.codec, name)
        teachers.append(teacher)
    tokens = tokenize_pairs(pairs, trainee.codec, trainee.end_id, settings.max_seq_len)
    config, student = load_hf(trainee.source.folder)
    configs = [config, *(teacher.config for teacher in teachers)]
    return distilling(configs, student, [teacher.params for teacher in teachers], tokens, settings), tokens


def _by_answers(
    trainee: Trainee, names: list[Path], pairs: list[Pair], settings: DistillParams, report: Reporter
) -> tuple[Training, TokenPairs]:
    max_tokens = settings.max_tokens or _MAX_TOKENS
    instructions = [pair.instruction for pair in pairs]
    answered: list[Pair] = []
    for name in names:  # one at a time: a teacher is let go before the next is loaded
        answered += answers_of(load_model(name), instructions, max_tokens, _Telling(report))
    if not answered:
        whose = "1 teacher" if len(names) == 1 else f"{len(names)} teachers"
        raise RequestError(f"no answer of {whose} ended: got max_tokens {max_tokens}; accepted: more")
    tokens = tokenize_pairs(answered, trainee.codec, trainee.end_id, settings.max_seq_len)
    config, student = load_hf(trainee.source.folder)
    return answer_training(config, student, tokens, settings), tokens


class _Telling:
    """Reports a teacher's answers, a few at a time."""

    def __init__(self, report: Reporter) -> None:
        self._report = report
        self._next = 0

    def __call__(self, done: int, total: int) -> None:
        if done >= self._next:
            self._next = done + _EVERY
            self._report.progress("the teacher answers", done, total, "instructions")
