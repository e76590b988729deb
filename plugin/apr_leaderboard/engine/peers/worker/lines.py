"""What goes in and out of the worker: a file of rendered prompts, and JSON lines on stdout."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Decoding", "RenderedPrompt", "WorkerError", "read_prompts", "say"]


class WorkerError(Exception):
    """Something that ends the worker; `code` is its exit code, the message one line."""

    def __init__(self, message: str, code: int = 8) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class Decoding:
    """How tokens are chosen; as `apr_leaderboard.model.generation.DecodeParams`."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0


@dataclass(frozen=True)
class RenderedPrompt:
    """One sample: the exact text to continue, prefill included, and what ends the answer.

    `ids` are the tokens that the suite itself makes of the text, if it said them.
    """

    task_id: str
    sample: int
    seed: int
    rendered: str
    stop: tuple[str, ...] = ()
    special: bool = False
    ids: tuple[int, ...] | None = None


@dataclass
class Answer:
    """One answer, in the words of `apr_leaderboard.model.generation.Completion`."""

    prompt: RenderedPrompt
    text: str
    tokens: list[int]
    n_prompt_tokens: int
    finish: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def completion(self) -> dict[str, Any]:
        """As a completion's fields."""
        return {
            "task_id": self.prompt.task_id,
            "sample": self.prompt.sample,
            "text": self.text,
            "rendered": self.prompt.rendered,
            "n_prompt_tokens": self.n_prompt_tokens,
            "n_tokens": len(self.tokens),
            "finish": self.finish,
        }


def read_prompts(path: Path) -> list[RenderedPrompt]:
    """Every line of the file; raises WorkerError (exit 3) with the number of the first that is none."""
    prompts = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WorkerError(f"{path}: cannot be read: {error}; accepted: JSON lines", 3) from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            ids = value.get("ids")
            prompts.append(
                RenderedPrompt(
                    task_id=str(value["task_id"]),
                    sample=int(value.get("sample", 0)),
                    seed=int(value.get("seed", 0)),
                    rendered=str(value["rendered"]),
                    stop=tuple(value.get("stop", ())),
                    special=bool(value.get("special", False)),
                    ids=None if ids is None else tuple(ids),
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            wanted = "a JSON object with task_id and rendered"
            raise WorkerError(f"{path}:{number}: {error!r}; accepted: {wanted}", 3) from None
    return prompts


def say(kind: str, value: Mapping[str, Any] | Iterable[Any]) -> None:
    """One JSON document on a line of stdout."""
    sys.stdout.write(json.dumps({kind: value}, ensure_ascii=True) + "\n")
    sys.stdout.flush()
