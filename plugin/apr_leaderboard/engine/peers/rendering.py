"""Prompts as the exact text a model is to continue, so that every engine is given the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from apr_leaderboard.engine.jobs import Checkpoint
from apr_leaderboard.errors import EngineMissingError, FileFormatError, RequestError
from apr_leaderboard.model.generation import Prompt

__all__ = ["Template", "render_prompts", "write_rendered"]


class Template(StrEnum):
    """What turns messages into text."""

    MODEL = "model"
    """The model's own chat template, as the reference engine applies it."""
    CHATML = "chatml"
    """ChatML with the turns as they are and no system turn of the template's own: what `apr run --batch-jsonl` does."""


def render_prompts(
    model: Checkpoint, prompts: Sequence[Prompt], template: Template = Template.MODEL
) -> Iterator[dict[str, Any]]:
    """One JSON object a prompt: the prompt's own fields, `rendered` (prefill included), its `ids`, and `special`.

    `ids` are what the model's tokenizer, read by the reference engine, makes of the text; `special` says whether the
    tokenizer adds its start token, as it does for raw text only. Raises `FileFormatError` for a checkpoint that is
    neither GGUF nor a Hugging Face folder, `EngineMissingError` where the libraries to read one are missing, and
    `RequestError` for a prompt that comes to no token at all.
    """
    codec, render = _renderer(model, template)
    for prompt in prompts:
        text = render(prompt)
        special = prompt.raw is not None
        ids = codec.encode(text, special=special)
        if not ids:
            raise RequestError(f"{prompt.task_id}: the prompt is empty; at least one token is needed")
        fields = prompt.model_dump(mode="json", exclude={"raw"})
        yield {**fields, "rendered": text, "special": special, "ids": ids}


def write_rendered(path: Path, lines: Iterator[dict[str, Any]]) -> int:
    """Write them as JSON lines; returns how many."""
    count = 0
    with path.open("w", encoding="utf-8") as out:
        for line in lines:
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += 1
    return count


def _renderer(model: Checkpoint, template: Template) -> tuple[Any, Callable[[Prompt], str]]:
    try:
        from apr_leaderboard.engine.reference.chat import ChatRenderer
        from apr_leaderboard.engine.reference.gguf_file import GgufFile
        from apr_leaderboard.engine.reference.tokenizer import codec_from_gguf, codec_from_hf
    except ImportError as error:
        hint = f"prompts are rendered with what `pip install 'apr-leaderboard[reference]'` brings ({error})"
        raise EngineMissingError("prompt rendering", ("this Python environment",), hint) from error
    if model.format not in ("gguf", "hf"):
        raise FileFormatError(model.path, "", f"got format {model.format!r}", allowed="gguf, hf")
    codec = codec_from_gguf(GgufFile(model.path)) if model.format == "gguf" else codec_from_hf(model.path)
    if template is Template.CHATML:
        return codec, _chatml
    return codec, ChatRenderer(codec).render


def _chatml(prompt: Prompt) -> str:
    if prompt.raw is not None:
        return prompt.raw + prompt.prefill
    turns = "".join(f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in prompt.messages)
    return f"{turns}<|im_start|>assistant\n{prompt.prefill}"
