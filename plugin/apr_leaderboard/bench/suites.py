"""Benchmarks that users define: recipes/suites/NAME.yaml."""

from __future__ import annotations

from pathlib import Path

from apr_leaderboard.bench.benchmark import Benchmark
from apr_leaderboard.bench.collection import Collection, is_collection, load_collection
from apr_leaderboard.bench.formats import format_named
from apr_leaderboard.bench.prompts import profile_named
from apr_leaderboard.bench.table import BUILT_IN
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.source import LocalSource
from apr_leaderboard.model.yamlfile import load_model

__all__ = ["load_collections", "load_suite", "load_suites"]


def load_suite(file: Path) -> Benchmark:
    """One suite file. Relative data paths are taken from the file's folder.

    Raises `FileFormatError` with the position of what is wrong: an unknown key, format, option or profile, a name that
    is not the file's, or one that a built-in benchmark has.
    """
    loaded = load_model(file, Benchmark)
    suite = loaded.value
    if suite.name != file.stem:
        raise loaded.error(("name",), f"got {suite.name!r}", allowed=f"{file.stem!r}, as the file is called")
    if any(one.name == suite.name for one in BUILT_IN):
        raise loaded.error(("name",), f"{suite.name!r} is a built-in benchmark", allowed="a name of its own")
    try:
        known = format_named(suite.format).options
    except RequestError as error:
        raise loaded.error(("format",), str(error)) from None
    for option in suite.options:
        if option not in known:
            raise loaded.error(("options", option), "unknown option", allowed=", ".join(sorted(known)) or "none")
    try:
        profile_named(suite.profile)
    except RequestError as error:
        raise loaded.error(("profile",), str(error)) from None
    data = tuple(
        one.model_copy(update={"source": one.source.anchored(file.parent.absolute())})
        if isinstance(one.source, LocalSource)
        else one
        for one in suite.data
    )
    return suite.model_copy(update={"data": data})


def load_suites(folder: Path) -> tuple[Benchmark, ...]:
    """Every benchmark of a folder, by name; a folder that is not there holds none."""
    return tuple(load_suite(file) for file in _files(folder) if not is_collection(file))


def load_collections(folder: Path) -> dict[str, Collection]:
    """Every collection of benchmarks of a folder, by name. Raises as `load_collection`."""
    files = [file for file in _files(folder) if is_collection(file)]
    suites = load_suites(folder) if files else ()
    return {file.stem: load_collection(file, suites) for file in files}


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []
