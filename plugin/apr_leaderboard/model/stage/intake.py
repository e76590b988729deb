"""Stages that bring things in: a model, a dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from apr_leaderboard.model.stage.base import Params

__all__ = ["PREPARED", "ImportParams", "PrepDataParams"]

PREPARED = "prepared"
"""What a later stage calls the dataset that the recipe's prep-data stage left."""


class ImportParams(Params):
    """Make a checkpoint the engine can work on from a model source."""

    quantization: Literal["keep", "fp16"] = Field(
        default="keep", description="keep: as the source stores it; fp16: half precision"
    )


class PrepDataParams(Params):
    """Clean a dataset; later stages take the result by the name `prepared`. Steps are done in the order written."""

    dataset: str = Field(description="a dataset named in the catalogue, or a path to JSONL")
    steps: tuple[Literal["audit", "dedup", "decontaminate", "quality", "balance", "split"], ...] = Field(
        default=("audit", "dedup", "decontaminate", "quality"), min_length=1
    )
    against: tuple[str, ...] = Field(
        default=("humaneval",), description="decontaminate: datasets whose problems must not be in the data"
    )
    ngram: Annotated[int, Field(ge=1, le=100)] = Field(default=10, description="decontaminate: words in an n-gram")
    overlap: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.5,
        description="decontaminate: a sample goes whose share of n-grams found in the benchmark reaches this",
    )
    min_quality: Annotated[float, Field(ge=0, le=100)] = Field(
        default=50, description="quality: a sample with a lower score goes"
    )
    balance_by: str = Field(default="category", description="balance: the key whose values are to be equally frequent")
    held_out: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.1, description="split: share left out of the result"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
