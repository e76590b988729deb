"""How pytest meets the suite: wiring only."""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard import hookspecs
from apr_leaderboard.collect import (
    BUILT_IN_FOLDER,
    Acceptance,
    BuiltInSuites,
    ContractFile,
    RecipeFile,
    SuiteFile,
    acceptance_files,
    built_in_named,
    choose_arguments,
    has_criteria,
    is_contract,
    is_recipe,
    is_suite,
    preload,
    register_marks,
    suite_folders,
)
from apr_leaderboard.criteria import judge_gate
from apr_leaderboard.engine import Engine, engine_names, make_engine
from apr_leaderboard.errors import AprLeaderboardError, RequestError
from apr_leaderboard.options import Options, add_options, join_paths, read_options
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.proof import Check, Lab, built_in_checks
from apr_leaderboard.report import Controller, Gatekeeper, attach_payload, plan_lines, read_baseline, status_of
from apr_leaderboard.store import Remote, Store, is_url

_OPTIONS = pytest.StashKey[Options]()
_WORKBENCH = pytest.StashKey[Workbench]()
_RUN_ID = pytest.StashKey[str]()
_LAB = pytest.StashKey[Lab]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare --apr-* and their ini twins."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Start again where a path given to one of our options was taken for a place to look for tests.

    pytest decides on its root folder before it knows a plugin's options, so in `--apr-completions /data/x.jsonl` it
    takes the path for an argument of its own and /data for the root. Written with `=`, it does not.
    """
    given = list(early_config.invocation_params.args)
    joined = join_paths(given)
    if joined != given:
        raise SystemExit(pytest.main(joined, plugins=early_config.invocation_params.plugins))


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Offer our hooks."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Read the options, find what is to be collected, and refuse wrong requests before anything runs."""
    worker = getattr(config, "workerinput", None)
    config.stash[_RUN_ID] = worker["apr_run_id"] if worker else uuid.uuid4().hex
    options = config.stash[_OPTIONS] = read_options(config)
    if worker is None:
        controller = Controller(
            config,
            options.report,
            options.settings.ks,
            lambda: config.stash.get(_WORKBENCH, None),
            _run_folder(config),
        )
        config.pluginmanager.register(controller, "apr_leaderboard_controller")
    _bridge_to_allure(config)
    try:
        register_marks(config)
        _register_acceptance(config, options)
        # Workers parse the command line anew, so they choose anew too; what is wrong with it, the controller says.
        choose_arguments(config, options.settings)
        if worker is None:
            preload(config, lambda: _workbench(config))
    except RequestError as error:
        raise pytest.UsageError(str(error)) from None
    except AprLeaderboardError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.INTERNAL_ERROR)


def _register_acceptance(config: pytest.Config, options: Options) -> None:
    """The criteria of the project, if it has any, and the gate, if one is asked for. Raises `RequestError`."""
    root = config.rootpath
    if has_criteria(root):
        plugin = Acceptance(root, options.settings, lambda: _workbench(config), falsify=options.falsify)
        config.pluginmanager.register(plugin, "apr_leaderboard_acceptance")
    if options.gate is None or hasattr(config, "workerinput"):
        return
    if not has_criteria(root):
        raise RequestError(
            f"--apr-gate: got a project without acceptance/criteria.yaml ({root}); accepted: one with it"
        )
    criteria, defects = acceptance_files(root)
    baseline = None if options.baseline is None else read_baseline(options.baseline)
    controller: Controller = config.pluginmanager.get_plugin("apr_leaderboard_controller")  # type: ignore[assignment]
    gate = options.gate
    keeper = Gatekeeper(
        gate, lambda: controller.results, lambda run: judge_gate(gate, run, criteria, defects, baseline)
    )
    config.pluginmanager.register(keeper, "apr_leaderboard_gate")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the run's id, so that they share failures and progress."""
    node.workerinput["apr_run_id"] = node.config.stash[_RUN_ID]


@pytest.hookimpl(trylast=True)
def pytest_apr_make_engine(name: str, options: Options) -> Engine | None:
    """Make the built-in engines."""
    return make_engine(name, apr_bin=options.bin) if name in engine_names() else None


@pytest.hookimpl(trylast=True)
def pytest_apr_engine_names() -> list[str]:
    """Name the built-in engines."""
    return list(engine_names())


@pytest.hookimpl(trylast=True)
def pytest_apr_checks(contract: str) -> Sequence[Check]:
    """Offer the built-in checks."""
    return built_in_checks(contract)


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """The built-in benchmarks have no file; their folder stands for them."""
    if path != BUILT_IN_FOLDER:
        return None
    names = built_in_named(parent.config)
    return BuiltInSuites.from_parent(
        parent, path=path, nodeid="benchmarks", workbench=_workbench(parent.config), names=names
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Recipes, contracts and suites are test files."""
    if is_contract(file_path):
        only = parent.config.stash[_OPTIONS].falsify
        return ContractFile.from_parent(parent, path=file_path, lab=_lab(parent.config), only_saboteurs=only)
    if is_recipe(file_path):
        return RecipeFile.from_parent(parent, path=file_path, workbench=_workbench(parent.config))
    if is_suite(file_path) and (_has_answers(parent.config) or parent.session.isinitpath(file_path)):
        return SuiteFile.from_parent(parent, path=file_path, workbench=_workbench(parent.config))
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """With --apr-plan, say what would run instead of running it."""
    if not session.config.stash[_OPTIONS].plan or hasattr(session.config, "workerinput"):
        return None
    terminal: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    for line in plan_lines(_workbench(session.config)):
        terminal.line(line)
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put what the item found on its report."""
    report = yield
    attach_payload(item, report)
    return report


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Give `unsolved` and `not reached` outcomes of their own."""
    return status_of(report)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let go of the sandbox and the store."""
    workbench = config.stash.get(_WORKBENCH, None)
    if workbench is not None:
        workbench.close()


def _has_answers(config: pytest.Config) -> bool:
    """Whether there is anything to ask benchmarks of: without it, `pytest recipes` is about the recipes."""
    settings = config.stash[_OPTIONS].settings
    return settings.model is not None or settings.completions is not None


def _bridge_to_allure(config: pytest.Config) -> None:
    """With --alluredir, have our results told in Allure's terms."""
    folder = getattr(config.option, "allure_report_dir", None)
    if not folder or config.option.collectonly:
        return
    from apr_leaderboard.report.allure import AllureBridge  # what nobody asked for is not imported

    controller = config.pluginmanager.get_plugin("apr_leaderboard_controller")
    command = _command_line(config)
    bridge = AllureBridge(Path(folder), command, lambda: controller.results if controller else None)
    config.pluginmanager.register(bridge, "apr_leaderboard_allure")


def _command_line(config: pytest.Config) -> list[str]:
    """What was typed after `pytest`, without where Allure's results go."""
    worker = getattr(config, "workerinput", None)
    typed = list(worker["mainargv"][1:]) if worker else [str(word) for word in config.invocation_params.args]
    skipped = {at for at, word in enumerate(typed) if word.startswith("--alluredir")}
    skipped |= {at + 1 for at in skipped if typed[at] == "--alluredir"}
    return [word for at, word in enumerate(typed) if at not in skipped and word != "--clean-alluredir"]


def _store_root(config: pytest.Config) -> Path:
    """The store's folder on this machine; beside a shared one, the user's own."""
    asked = config.stash[_OPTIONS].store
    return Path(asked).expanduser().absolute() if asked and not is_url(asked) else Store.default_root()


def _remote(config: pytest.Config) -> Remote | None:
    asked = config.stash[_OPTIONS].store
    return Remote(asked) if asked and is_url(asked) else None


def _run_folder(config: pytest.Config) -> Path:
    """Where the workers of this run leave word of their progress."""
    return _store_root(config) / "runs" / config.stash[_RUN_ID]


def _workbench(config: pytest.Config) -> Workbench:
    """This process's workbench, opened when first needed."""
    if _WORKBENCH not in config.stash:
        options = config.stash[_OPTIONS]
        config.stash[_WORKBENCH] = Workbench(
            root=config.rootpath,
            store_root=_store_root(config),
            run_folder=_run_folder(config),
            settings=options.settings,
            make_engine=lambda name: _engine(config, name),
            remote=_remote(config),
            suite_folders=suite_folders(config),
        )
    return config.stash[_WORKBENCH]


def _lab(config: pytest.Config) -> Lab:
    """This process's place for measured checks."""
    if _LAB not in config.stash:
        config.stash[_LAB] = Lab(lambda: _workbench(config), patient="contract" in (config.option.markexpr or ""))
    return config.stash[_LAB]


def _engine(config: pytest.Config, name: str) -> Engine:
    engine = config.hook.pytest_apr_make_engine(name=name, options=config.stash[_OPTIONS])
    if engine is None:
        names = sorted({known for part in config.hook.pytest_apr_engine_names() for known in part})
        raise RequestError(f"--apr-engine: got {name!r}; accepted: {', '.join(names)}")
    return engine  # type: ignore[no-any-return]
