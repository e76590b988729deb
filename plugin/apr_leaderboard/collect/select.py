"""What to collect when the user names marks rather than files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apr_leaderboard.bench import BUILT_IN
from apr_leaderboard.collect.acceptance import FOLDER, acceptance_marks
from apr_leaderboard.collect.contracts import bind_contract, contract_files, is_contract
from apr_leaderboard.collect.expression import alternatives, words_of
from apr_leaderboard.collect.recipes import is_recipe
from apr_leaderboard.collect.suites import BUILT_IN_FOLDER, is_suite
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.contract import contract_mark
from apr_leaderboard.model.recipe import load_recipe, order_warnings, recipe_marks
from apr_leaderboard.model.stage import StageName
from apr_leaderboard.pipeline import Settings, Workbench, mark_of

__all__ = ["built_in_named", "choose_arguments", "preload", "register_marks", "suite_folders"]

_STAGE_MARKS = {f"stage_{stage.value.replace('-', '_')}": stage for stage in StageName}
_BY_MARK = (pytest.Config.ArgsSource.TESTPATHS, pytest.Config.ArgsSource.INVOCATION_DIR)


def register_marks(config: pytest.Config) -> None:
    """Tell pytest every mark our items carry, so that --strict-markers and --markers know them."""
    for file in _recipe_files(config):
        for mark in recipe_marks(file.stem):
            config.addinivalue_line("markers", f"{mark}: the stages of recipes/{file.name}")
    config.addinivalue_line("markers", "contracts: the obligations of contracts/, and what is tried against them")
    for file in contract_files(config.rootpath):
        config.addinivalue_line("markers", f"{contract_mark(file.stem)}: the obligations of contracts/{file.name}")
    for mark, words in acceptance_marks(config.rootpath).items():
        config.addinivalue_line("markers", f"{mark}: {words}")
    for mark in _STAGE_MARKS:
        config.addinivalue_line("markers", f"{mark}: this stage of any recipe")
    for name in (*_built_in(), *(file.stem for file in _suite_files(config))):
        config.addinivalue_line("markers", f"{mark_of(name)}: the problems of {name}")


def choose_arguments(config: pytest.Config, settings: Settings) -> None:
    """Where no file is named, let `-m recipe_a` collect that recipe alone and `-m humaneval` that benchmark alone.

    `-m "recipe_a or humaneval"` collects both. Collecting the whole tree to throw nearly all of it away would cost
    seconds at every start. Raises `RequestError` for a benchmark asked for without a model or completions.
    """
    if config.args_source not in _BY_MARK:
        return
    found = [_places(config, words) for words in alternatives(config.option.markexpr or "")]
    chosen = list(dict.fromkeys(place for places in found for place in places))
    if not chosen:
        _need_a_benchmark(config)
        return
    benchmarks = [place for place in chosen if place == str(BUILT_IN_FOLDER) or is_suite(Path(place))]
    if benchmarks and settings.model is None and settings.completions is None:
        built_in = benchmarks[0] == str(BUILT_IN_FOLDER)
        mark = mark_of(built_in_named(config)[0] if built_in else Path(benchmarks[0]).stem)
        raise RequestError(
            f"-m {mark}: got neither a model nor completions; accepted: "
            f"pytest -m {mark} --apr-model MODEL, or pytest -m {mark} --apr-completions samples.jsonl"
        )
    # Of `recipe_a or slow`, what is slow may be anywhere.
    config.args = [*chosen, *(config.args if not all(found) else ())]


def _need_a_benchmark(config: pytest.Config) -> None:
    """Raises `RequestError` where the command line brings answers and nothing that is collected would look at them."""
    given = next((flag for flag in ("--apr-completions", "--apr-model") if getattr(config.option, _dest(flag))), None)
    roots = [config.invocation_params.dir / str(argument) for argument in config.args]
    within_reach = any(folder.is_dir() for root in roots for folder in (root / "suites", root / "recipes" / "suites"))
    if given is not None and not config.option.markexpr and not within_reach:
        raise RequestError(
            f"{given}: got no benchmark to ask; accepted: with one, as in pytest -m humaneval {given} ..."
        )


def _dest(flag: str) -> str:
    return flag.strip("-").replace("-", "_")


def _places(config: pytest.Config, words: set[str]) -> list[str]:
    """Where the items are that carry all these marks; nowhere in particular if that is not known."""
    of_criteria = words & acceptance_marks(config.rootpath).keys()
    if of_criteria:
        # `real_apr` is a mark of a project's own tests as well.
        return [str(config.rootpath / FOLDER), *(config.args if of_criteria == {"real_apr"} else ())]
    files = [file for file in _recipe_files(config) if words & {*recipe_marks(file.stem)}]
    if not files and words & _STAGE_MARKS.keys():
        files = list(_recipe_files(config))
    if not files:
        contracts = contract_files(config.rootpath)
        files = [file for file in contracts if "contracts" in words or contract_mark(file.stem) in words]
    if files:
        return [str(file) for file in files]
    built_in = [str(BUILT_IN_FOLDER)] if words & {mark_of(name) for name in _built_in()} else []
    return [*built_in, *(str(file) for file in _suite_files(config) if mark_of(file.stem) in words)]


def built_in_named(config: pytest.Config) -> tuple[str, ...]:
    """The built-in benchmarks that the -m expression names."""
    words = words_of(config.option.markexpr or "")
    return tuple(name for name in _built_in() if mark_of(name) in words)


def preload(config: pytest.Config, workbench: Callable[[], Workbench]) -> None:
    """Parse and bind every recipe and benchmark that will be collected, so that a wrong request is one line.

    Raises `RequestError`.
    """
    for argument in config.args:
        place = Path(str(argument).partition("::")[0])
        names = built_in_named(config) if place == BUILT_IN_FOLDER else (place.stem,) if is_suite(place) else ()
        for name in names:
            for evaluation in workbench().standalone(name):
                for line in evaluation.warnings:
                    config.issue_config_time_warning(pytest.PytestWarning(line), stacklevel=2)
        for file in _contracts_in(place):
            bind_contract(config, file)
        for file in _recipes_in(place):
            loaded = load_recipe(file)
            for line in order_warnings(loaded.value):
                config.issue_config_time_warning(pytest.PytestWarning(line), stacklevel=2)
            for engine in workbench().engines:
                workbench().plan(loaded, engine)


def _recipes_in(path: Path) -> Iterator[Path]:
    if is_recipe(path):
        yield path
    elif path.is_dir() and path.name == "recipes":
        yield from sorted(file for file in path.iterdir() if is_recipe(file))


def _contracts_in(path: Path) -> Iterator[Path]:
    if is_contract(path):
        yield path
    elif path.is_dir() and path.name == "contracts":
        yield from contract_files(path.parent)


def _built_in() -> list[str]:
    return [benchmark.name for benchmark in BUILT_IN]


def suite_folders(config: pytest.Config) -> tuple[Path, ...]:
    """Where benchmarks are defined: the project's folder, then those that plugins name. Raises `RequestError`."""
    offered = [Path(folder) for folders in config.hook.pytest_apr_suite_folders() for folder in folders]
    for folder in offered:
        if folder.name != "suites" or not folder.is_dir():
            raise RequestError(f"pytest_apr_suite_folders: got {folder}; accepted: a folder that is called 'suites'")
    return (config.rootpath / "recipes" / "suites", *offered)


def _suite_files(config: pytest.Config) -> list[Path]:
    found = [file for folder in suite_folders(config) if folder.is_dir() for file in sorted(folder.glob("*.yaml"))]
    return list({file.stem: file for file in reversed(found)}.values())[::-1]


def _recipe_files(config: pytest.Config) -> list[Path]:
    folder = config.rootpath / "recipes"
    return sorted(file for file in folder.glob("recipe-*.yaml")) if folder.is_dir() else []
