"""Stages that make something to give away: a program, an open checkpoint."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from apr_leaderboard.model.stage.base import Params

__all__ = ["CompileParams", "ExportParams"]


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
