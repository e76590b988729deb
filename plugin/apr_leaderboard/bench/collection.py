"""Several benchmarks asked together, each with its settings: recipes/suites/NAME.yaml with `benchmarks` in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.prompts import profile_named
from apr_leaderboard.bench.table import benchmark_named
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.yamlfile import load_model

__all__ = ["Collection", "CollectionEntry", "is_collection", "load_collection"]

_TELLING: Final = re.compile(r"^benchmarks:", re.MULTILINE)
_Fraction = Annotated[float, Field(ge=0, le=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CollectionEntry(_Frozen):
    """How one benchmark is asked. None: its own."""

    prompt_profile: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None


class Collection(_Frozen):
    """Benchmarks in the order they are asked, and what a model should reach on them at each step of its way."""

    schema_: Literal[1] = Field(alias="schema")
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$", description="also the pytest mark")]
    title: Annotated[str, Field(min_length=1)]
    benchmarks: dict[str, CollectionEntry] = Field(min_length=1)
    targets: dict[Literal["base", "finetuned", "optimized"], dict[str, _Fraction]] = Field(
        default_factory=dict, description="least pass@1 as a fraction; recipes hold their own eval to it"
    )


def is_collection(file: Path) -> bool:
    """Whether a file of recipes/suites/ is one of these and no benchmark of its own."""
    try:
        return _TELLING.search(file.read_text(encoding="utf-8")) is not None
    except (OSError, UnicodeDecodeError):
        return False  # whoever reads it as a benchmark will say what is wrong with it


def load_collection(file: Path, suites: tuple[Benchmark, ...] = ()) -> Collection:
    """One such file; `suites` are the user's own benchmarks, which it may name.

    Raises `FileFormatError` with the position of a benchmark or prompt profile that is none, of a target for a
    benchmark that is not asked, and where the name is not the file's.
    """
    loaded = load_model(file, Collection)
    found = loaded.value
    if found.name != file.stem:
        raise loaded.error(("name",), f"got {found.name!r}", allowed=f"{file.stem!r}, as the file is called")
    for name, entry in found.benchmarks.items():
        try:
            benchmark_named(name, suites)
        except RequestError as error:
            raise loaded.error(("benchmarks", name), str(error)) from None
        try:
            profile_named(entry.prompt_profile or "standard")
        except RequestError as error:
            raise loaded.error(("benchmarks", name, "prompt_profile"), str(error)) from None
    for step, targets in found.targets.items():
        for name in targets:
            if name not in found.benchmarks:
                raise loaded.error(("targets", step, name), "not asked here", allowed=", ".join(found.benchmarks))
    return found
