"""Stages that make something to give away: a program, an open checkpoint, a submission."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from apr_leaderboard.model.stage.base import Params

__all__ = ["CompileParams", "ExportParams", "SubmitParams"]


class CompileParams(Params):
    """Make one file that answers prompts by itself. Later stages go on from the model, not from the program."""

    output: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = Field(
        default="model", description="the program's file name"
    )
    release: bool = True
    lto: bool = False
    strip: bool = False


class ExportParams(Params):
    """Write the model in an open layout. Later stages go on from the model as it was before."""

    format: Literal["hf", "gguf"] = Field(default="hf", description="hf: SafeTensors with configuration and tokenizer")


class SubmitParams(Params):
    """Write the folder that a submission to the hub would hold; uploading it is a command of its own, `submit`."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] = Field(description="owner/name on the hub")
    licence: str | None = Field(default=None, description="the model's; its base model's when not given")
