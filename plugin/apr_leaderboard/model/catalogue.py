"""The catalogue: every model and dataset the suite knows by name, with where its bytes are and what they must be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from apr_leaderboard.model.source import SOURCE_FORMS, LocalSource, Source, SourceField
from apr_leaderboard.model.stage import FinetuneParams
from apr_leaderboard.model.yamlfile import load_model

__all__ = ["Catalogue", "DatasetEntry", "FileFacts", "ModelEntry", "PublishedScores", "load_catalogue"]

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileFacts(_Frozen):
    """What is known of one file's bytes."""

    sha256: _Digest
    bytes: Annotated[int, Field(ge=0)] | None = None


class PublishedScores(_Frozen):
    """pass@1 in percent, greedy, as someone reported it; `source` says who and where."""

    source: Annotated[str, Field(min_length=1)]
    note: str = ""
    humaneval: Annotated[float, Field(ge=0, le=100)] | None = None
    humaneval_plus: Annotated[float, Field(ge=0, le=100)] | None = None
    mbpp: Annotated[float, Field(ge=0, le=100)] | None = None
    mbpp_plus: Annotated[float, Field(ge=0, le=100)] | None = None
    mbpp_problems: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="how many problems the MBPP figures are over; null: not stated, or disputed"
    )

    def of(self, benchmark: str) -> float | None:
        """The score of one benchmark in percent, None where this source gives none."""
        value = self.model_dump(exclude={"source", "note", "mbpp_problems"}).get(benchmark)
        return None if value is None else float(value)


class _Entry(_Frozen):
    """What models and datasets share. `name` is the key in the catalogue; nobody writes it twice."""

    name: str = ""
    licence: Annotated[str, Field(min_length=1)]
    sources: tuple[SourceField, ...]
    files: dict[str, FileFacts] = Field(default_factory=dict, description="file name: digest and size")

    @field_validator("sources")
    @classmethod
    def _some_source(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        # Not as a length of the field: pydantic would report it beside every source that is written wrong.
        if not sources:
            raise ValueError(f"no source; allowed: at least one of {SOURCE_FORMS}")
        return sources

    @property
    def sha256(self) -> dict[str, str]:
        """File name: SHA-256, for the files whose digest is known beforehand."""
        return {name: facts.sha256 for name, facts in self.files.items()}

    def anchored(self, folder: Path) -> Self:
        """The same entry with its local paths taken from `folder`."""
        sources: tuple[Source, ...] = tuple(
            source.anchored(folder) if isinstance(source, LocalSource) else source for source in self.sources
        )
        return self.model_copy(update={"sources": sources})


class Making(_Frozen):
    """How the suite makes a model of its own: another one, imported and finetuned by the reference engine."""

    base: Annotated[str, Field(min_length=1, description="a model of the catalogue that the suite makes, too")]
    finetune: FinetuneParams


class ModelEntry(_Entry):
    """One model: what it is, where it can be had (tried in order), what its bytes must be."""

    title: Annotated[str, Field(min_length=1)]
    architecture: str = Field(default="unknown", description="as general.architecture or model_type names it")
    n_parameters: Annotated[int, Field(gt=0)] | None = None
    format: Literal["hf", "gguf", "apr"]
    instruct: bool | None = Field(default=None, description="trained to answer; None: not known")
    quantization: str | None = Field(default=None, description="None: as published, not quantized")
    revision: str = "main"
    made_from: Making | None = Field(default=None, description="with a made: source of its own name")
    published: tuple[PublishedScores, ...] = ()

    @model_validator(mode="after")
    def _made_as_it_is_called(self) -> Self:
        if self.made_from is not None and [source.kind for source in self.sources] != ["made"]:
            raise ValueError(f"made_from beside {', '.join(map(str, self.sources))}; allowed: one made: source")
        return self

    def published_score(self, benchmark: str) -> tuple[float, str] | None:
        """The first published score of a benchmark (percent) and who says so."""
        for scores in self.published:
            value = scores.of(benchmark)
            if value is not None:
                return value, scores.source
        return None


class DatasetEntry(_Entry):
    """One dataset: what it is for, what it holds, where it can be had."""

    purpose: Annotated[str, Field(min_length=1)]
    format: Literal["jsonl", "jsonl.gz", "parquet", "text"]
    classification: Literal["public", "internal"] = Field(default="public", description="internal: not published")
    lifecycle: Literal["retained", "ephemeral"] = Field(description="ephemeral: can be made anew")
    contract: str | None = Field(default=None, description="the contract that says what it must fulfil")
    records: Annotated[int, Field(ge=0)] | None = None


_E = TypeVar("_E", bound=_Entry)


def _named(entry: _E, key: str) -> _E:
    if entry.name not in ("", key):
        raise ValueError(f"{key!r} is also called {entry.name!r}; allowed: the key alone, no name")
    return entry.model_copy(update={"name": key})


class Catalogue(_Frozen):
    """Models and datasets by name."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    models: dict[str, ModelEntry] = Field(default_factory=dict)
    datasets: dict[str, DatasetEntry] = Field(default_factory=dict)

    @field_validator("models")
    @classmethod
    def _name_models(cls, entries: dict[str, ModelEntry]) -> dict[str, ModelEntry]:
        return {key: _named(entry, key) for key, entry in entries.items()}

    @field_validator("datasets")
    @classmethod
    def _name_datasets(cls, entries: dict[str, DatasetEntry]) -> dict[str, DatasetEntry]:
        return {key: _named(entry, key) for key, entry in entries.items()}

    @model_validator(mode="after")
    def _made_from_what_is_made(self) -> Self:
        for name in self.models:
            chain = [name]
            while (making := self.models[chain[-1]].made_from) is not None:
                base = self.models.get(making.base)
                if base is None or base.sources[0].kind != "made":
                    raise ValueError(f"{chain[-1]!r} is made from {making.base!r}; allowed: a model the suite makes")
                if making.base in chain:
                    raise ValueError(f"made from itself: {' <- '.join([*chain, making.base])}; allowed: a chain")
                if making.finetune.dataset not in self.datasets:
                    raise ValueError(
                        f"{chain[-1]!r} is trained on {making.finetune.dataset!r}; allowed: {', '.join(self.datasets)}"
                    )
                chain.append(making.base)
        return self

    def anchored(self, folder: Path) -> Catalogue:
        """The same catalogue with every relative local path taken from `folder`."""
        return self.model_copy(
            update={
                "models": {name: entry.anchored(folder) for name, entry in self.models.items()},
                "datasets": {name: entry.anchored(folder) for name, entry in self.datasets.items()},
            }
        )


def load_catalogue(path: Path) -> Catalogue:
    """Read a catalogue; its local paths are relative to its own folder.

    Raises FileFormatError where the file breaks its format.
    """
    return load_model(path, Catalogue).value.anchored(path.resolve().parent)
