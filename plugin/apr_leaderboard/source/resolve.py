"""What a user may write where a model or dataset is asked for, and the entry it stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import Catalogue, DatasetEntry, ModelEntry
from apr_leaderboard.model.source import HubSource, LocalSource, MadeSource, PypiSource, Source, parse_source

__all__ = ["MODEL_FORMS", "default_catalogue", "resolve_dataset", "resolve_model"]

MODEL_FORMS: Final = (
    "a name in the catalogue, a path to a .gguf or .apr file or to a folder with config.json, "
    "hf://owner/name[@revision][/file], hf://owner/name/q4_k_m (a file by its ending), pypi:name==version/member"
)
"""What `resolve_model` accepts, for messages and help."""

_UNKNOWN_LICENCE: Final = "unknown"


def resolve_model(text: str, catalogue: Catalogue) -> ModelEntry:
    """The catalogue's entry that `text` names, or one made of the path or address it is.

    Raises RequestError, in one line with what is accepted and the nearest names.
    """
    if text in catalogue.models:
        return catalogue.models[text]
    path = Path(text).expanduser()
    if text and path.exists():
        return _local_model(text, path)
    source = _parse(text, catalogue.models, "model", MODEL_FORMS)
    known = _in_catalogue(source, catalogue.models.values())
    if known is not None:
        return known
    if isinstance(source, HubSource) and source.repo_type == "dataset":
        raise RequestError(f"model {text!r} is a dataset; allowed: {MODEL_FORMS}")
    if isinstance(source, MadeSource):
        made = ", ".join(str(s) for entry in catalogue.models.values() for s in entry.sources if s.kind == "made")
        raise RequestError(f"model {text!r}: nothing of that name is made here; allowed: {made or MODEL_FORMS}")
    return ModelEntry(
        name=text,
        title=text,
        format=_format_of(source),
        licence=_UNKNOWN_LICENCE,
        sources=(source,),
        revision=source.revision if isinstance(source, HubSource) else "main",
    )


def resolve_dataset(text: str, catalogue: Catalogue) -> DatasetEntry:
    """As `resolve_model`, for a dataset: a catalogue name, a path to a .jsonl file, or a source string."""
    if text in catalogue.datasets:
        return catalogue.datasets[text]
    forms = (
        "a name in the catalogue, a path to .jsonl, .jsonl.gz or .parquet, hf://datasets/owner/name[@revision][/file]"
    )
    path = Path(text).expanduser()
    source: Source = (
        LocalSource(path=str(path.absolute()))
        if text and path.exists()
        else _parse(text, catalogue.datasets, "dataset", forms)
    )
    kind = _dataset_format(str(source))
    return DatasetEntry(
        name=text, purpose="named by the user", format=kind, lifecycle="ephemeral", licence=_UNKNOWN_LICENCE,
        sources=(source,),
    )  # fmt: skip


def default_catalogue(start: Path) -> Path:
    """The nearest `recipes/catalogue.yaml` at or above `start`, else the one beside this package's checkout.

    Raises RequestError where there is neither.
    """
    checkout = Path(__file__).resolve().parents[3]
    for folder in (start.resolve(), *start.resolve().parents, checkout):
        found = folder / "recipes" / "catalogue.yaml"
        if found.is_file():
            return found
    raise RequestError(f"no recipes/catalogue.yaml at or above {start}; allowed: a project that has one")


def _parse(text: str, names: Iterable[str], what: str, forms: str) -> Source:
    """A source that is no bare word: those can only have been meant as names or as paths that do not exist."""
    try:
        source = parse_source(text)
    except ValueError as error:
        raise RequestError(f"{what} {str(error).partition('; allowed: ')[0]}; allowed: {forms}") from None
    if isinstance(source, LocalSource):
        known, is_path = sorted(names), "/" in text or PurePosixPath(text).suffix in _FORMATS
        close = difflib.get_close_matches(text.lower(), known, n=3, cutoff=0.5)
        hint = f" (did you mean {' or '.join(close)}?)" if close else f" (the catalogue has {', '.join(known)})"
        if is_path and not close:
            hint = ""  # who wrote a path did not look for a name
        missing = "no such file or folder" if is_path else "no such name"
        raise RequestError(f"{what} {text!r}: {missing}{hint}; allowed: {forms}")
    return source


_FORMATS: Final[dict[str, Literal["gguf", "apr"]]] = {".gguf": "gguf", ".apr": "apr"}


def _local_model(text: str, path: Path) -> ModelEntry:
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise RequestError(f"model {text!r}: the folder holds no config.json; allowed: {MODEL_FORMS}")
        kind: Literal["hf", "gguf", "apr"] = "hf"
    elif path.suffix in _FORMATS:
        kind = _FORMATS[path.suffix]
    else:
        raise RequestError(f"model {text!r}: a file ending in {path.suffix or 'nothing'!r}; allowed: {MODEL_FORMS}")
    source = LocalSource(path=str(path.absolute()))
    return ModelEntry(name=path.name, title=str(path), format=kind, licence=_UNKNOWN_LICENCE, sources=(source,))


def _in_catalogue(source: Source, entries: Iterable[ModelEntry]) -> ModelEntry | None:
    """The entry that has this very source, or whose hub file is the one that `source` names by its ending."""
    for entry in entries:
        for known in entry.sources:
            if known == source:
                return entry
            if (
                isinstance(source, HubSource)
                and isinstance(known, HubSource)
                and source.is_variant
                and (known.repo, known.revision) == (source.repo, source.revision)
                and PurePosixPath(known.file).stem.lower().endswith(source.file.lower())
            ):
                return entry
    return None


def _format_of(source: Source) -> Literal["hf", "gguf", "apr"]:
    """What kind of checkpoint a source holds, as far as its name tells."""
    if isinstance(source, HubSource):
        if source.is_folder:
            return "hf"
        return "gguf" if source.is_variant else _suffix_format(source.file)
    return _suffix_format(source.member if isinstance(source, PypiSource) else str(source))


def _suffix_format(name: str) -> Literal["gguf", "apr"]:
    suffix = PurePosixPath(name).suffix
    if suffix not in _FORMATS:
        raise RequestError(f"model file {name!r} ends in {suffix or 'nothing'!r}; allowed: .gguf, .apr")
    return _FORMATS[suffix]


def _dataset_format(name: str) -> Literal["jsonl", "jsonl.gz", "parquet", "text"]:
    lower = name.lower()
    if lower.endswith(".jsonl.gz"):
        return "jsonl.gz"
    if lower.endswith((".jsonl", ".json")):
        return "jsonl"
    return "parquet" if lower.startswith("hf://") or lower.endswith(".parquet") else "text"
