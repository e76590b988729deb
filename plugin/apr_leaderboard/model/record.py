"""What a stage left behind, beside the files themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["CheckpointFormat", "EngineIdentity", "Finding", "StageRecord"]

CheckpointFormat = Literal["hf", "gguf", "apr", "jsonl", "program"]
"""hf: a folder with config.json, tokenizer.json and model.safetensors; gguf, apr: one file.

Two are no models: jsonl, a dataset that prep-data left; program, one file that compile left and that runs by itself.
"""

Figure = float | int | str | bool


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EngineIdentity(_Frozen):
    """Which program made a result. `build` is a digest of what decides its behaviour (binary or source and pins)."""

    name: str
    version: str
    build: str


class Finding(_Frozen):
    """Something an engine did that it should not have, with the command that shows it."""

    code: str = Field(description="short and stable, such as 'tokenizer-dropped'")
    message: str
    command: str = ""
    undone: bool = Field(
        default=False, description="the output shows that what was asked for was not done: the stage fails by it"
    )


class StageRecord(_Frozen):
    """The outcome of one engine job, stored beside its files. All paths are relative to the job's output folder."""

    op: str
    engine: EngineIdentity
    command: tuple[str, ...]
    checkpoint: str | None = None
    format: CheckpointFormat | None = None
    figures: dict[str, Figure] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
