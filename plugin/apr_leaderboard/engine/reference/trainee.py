"""What every training job does before and after: settings from flags, the model it starts from, its figures."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from apr_leaderboard.engine.reference.config import ModelConfig, config_from_hf
from apr_leaderboard.engine.reference.fitting import Held
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.engine.reference.tokenizer import TextCodec, codec_from_hf
from apr_leaderboard.engine.reference.train import LossLog
from apr_leaderboard.errors import FileFormatError, RequestError

__all__ = ["Trainee", "add_adapter_arguments", "add_training_arguments", "log_figures", "open_trainee", "settings_of"]

SettingsT = TypeVar("SettingsT", bound=BaseModel)


@dataclass(frozen=True)
class Trainee:
    """A model about to be trained; `end_id` is the token that ends an answer."""

    source: HfFolder
    config: ModelConfig
    codec: TextCodec
    end_id: int


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and what every training is told; a setting that is not given has its default of the recipes."""
    given = argparse.SUPPRESS
    parser.add_argument("--model", type=Path, required=True, help="folder in the Hugging Face layout")
    parser.add_argument("--learning-rate", type=float, default=given, help="the peak of a warmed-up cosine (1e-4)")
    parser.add_argument("--epochs", type=int, default=given, help="how often each row is seen (3)")
    parser.add_argument("--batch-size", type=int, default=given, help="rows a step (8)")
    parser.add_argument("--max-seq-len", type=int, default=given, help="tokens; longer answers are cut (512)")
    parser.add_argument("--seed", type=int, default=given, help="of the order of rows and of new weights (0)")


def add_adapter_arguments(parser: argparse.ArgumentParser) -> None:
    """What training through an adapter is told besides."""
    parser.add_argument("--rank", type=int, default=argparse.SUPPRESS, help="of the adapter (16)")
    parser.add_argument("--alpha", type=float, default=argparse.SUPPRESS, help="2 x rank when not given")


def settings_of(kind: type[SettingsT], args: argparse.Namespace, **named: Any) -> SettingsT:
    """The parameters of a stage from the flags given; `named` are those that stand for files.

    Raises RequestError naming the flag.
    """
    given = {name: getattr(args, name) for name in kind.model_fields if hasattr(args, name) and name not in named}
    try:
        return kind(**given, **named)
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:
            raise RequestError(first["msg"].removeprefix("Value error, ")) from None
        where = "--" + "-".join(map(str, first["loc"])).replace("_", "-")
        raise RequestError(f"{where}: got {first['input']!r}: {first['msg']}") from None


def open_trainee(folder: Path, what: str) -> Trainee:
    """The model to start from, its weights unread. Raises RequestError for one that is not in the open layout."""
    if not folder.is_dir():
        raise RequestError(f"{folder}: {what} takes a folder in the Hugging Face layout; import the model first")
    config, codec = config_from_hf(folder), codec_from_hf(folder)
    ends = (*codec.eos_ids, *config.eos_ids)  # the tokenizer's own end token, else the first the model names
    if not ends:
        raise FileFormatError(folder, "eos_token", "the model names no end token", allowed="one that ends an answer")
    return Trainee(HfFolder(folder), config, codec, ends[0])


def log_figures(log: LossLog, held: Held, *extra: str) -> dict[str, float | int | str | bool]:
    """First and last loss and those of `extra`, the number of steps, and the bytes held."""
    assert log.first is not None
    assert log.last is not None
    ends = {
        f"{end}_{name}": step.figures[name]
        for name in ("loss", *extra)
        for end, step in (("first", log.first), ("last", log.last))
    }
    return {**ends, "steps": log.last.step, **held.figures}
