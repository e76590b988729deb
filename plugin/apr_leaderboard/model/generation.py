"""What an engine is asked to write, and what it wrote."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

__all__ = ["Completion", "DecodeParams", "FinishReason", "Message", "Prompt"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Message(_Frozen):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Prompt(_Frozen):
    """One sample asked of an engine.

    Either `messages` (the engine applies the model's chat template, then appends `prefill`, the beginning of the
    answer) or `raw` (the text is continued as it stands, no template) is set, never both.
    """

    task_id: str
    sample: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0, lt=2**32)
    messages: tuple[Message, ...] = ()
    raw: str | None = None
    prefill: str = ""
    stop: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """What tells this sample from every other of the same generation."""
        return (self.task_id, self.sample)


class DecodeParams(_Frozen):
    """How tokens are chosen. `temperature` 0 is greedy, and then `top_k`, `top_p` and seeds change nothing."""

    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    top_k: int = Field(default=0, ge=0, description="0: no limit")
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    draft_tokens: int = Field(
        default=0, ge=0, le=31, description="most tokens drafted for an answer and checked in one pass; 0: none"
    )
    """Speculative decoding, for engines that have it. Changes how fast an answer comes, and no token of it."""

    @model_serializer(mode="wrap")
    def _without_no_draft(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A request without drafts is written as before there were any, so that what is stored and reported stays valid.
        written: dict[str, Any] = serialize(self)
        if not self.draft_tokens:
            written.pop("draft_tokens", None)
        return written


class FinishReason(StrEnum):
    """Why an answer ended."""

    STOP = "stop"
    LENGTH = "length"
    CONTEXT = "context"
    """The prompt, or prompt and answer, did not fit the engine's context window."""
    UNKNOWN = "unknown"
    """The engine does not say."""


class Completion(_Frozen):
    """One answer. `text` is what was generated after the prefill, with the stop string cut off."""

    task_id: str
    sample: int = 0
    text: str
    rendered: str | None = None
    """The exact text the model saw, where the engine lets one see it."""
    n_prompt_tokens: int | None = None
    n_tokens: int | None = None
    finish: FinishReason = FinishReason.UNKNOWN

    @property
    def key(self) -> tuple[str, int]:
        """As `Prompt.key`."""
        return (self.task_id, self.sample)
