"""acceptance/ as test items: plain test functions, each marked with the criterion that it decides.

A function marked `criterion` gets a `trial`, for each engine and each model of the profile. Its body runs in the item's
set-up, where trouble on our side is an error; what it found is told in the call.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.criteria import SUITE, TINY_MODEL, Asked, Saboteur, Trial, decide, known_behind, saboteur_named
from apr_leaderboard.engine import Engine
from apr_leaderboard.errors import AprLeaderboardError, EngineMissingError, RequestError
from apr_leaderboard.model.criterion import (
    CriteriaFile,
    Criterion,
    Defect,
    DefectsFile,
    criterion_mark,
    load_criteria,
    load_defects,
)
from apr_leaderboard.model.results import CriterionOutcome, CriterionResult
from apr_leaderboard.pipeline import Settings, Workbench
from apr_leaderboard.report import Detail, leave_detail, leave_payload

__all__ = ["FOLDER", "Acceptance", "acceptance_files", "acceptance_marks", "has_criteria"]

FOLDER = "acceptance"
_CRITERIA, _DEFECTS = "criteria.yaml", "known_defects.yaml"

_MODELS = {
    "smoke": ("smoke",),
    "real": ("qwen2.5-coder-0.5b-instruct-q4_k_m", "qwen2.5-coder-1.5b-instruct-q4_k_m"),
}
"""Of each profile, unless --apr-model or the criterion itself names others."""

_RESULT = pytest.StashKey[CriterionResult]()
_SABOTEUR = pytest.StashKey[Saboteur | None]()


def has_criteria(root: Path) -> bool:
    """Whether a project has acceptance criteria."""
    return (root / FOLDER / _CRITERIA).is_file()


def acceptance_marks(root: Path) -> dict[str, str]:
    """Every mark of the items in acceptance/, and what it stands for; none where there are no criteria."""
    if not has_criteria(root):
        return {}
    marks = {
        "acceptance": "the acceptance criteria",
        "defects": "the known defects of engines: is each still there?",
        "real_apr": "needs the real program",
        "criterion(id, asks=...)": "the criterion that a test of acceptance/ decides",
        "falsified_by(name)": "the saboteur that must turn a test of acceptance/ red",
        "unfalsifiable(reason)": "why no saboteur can turn a test of acceptance/ red",
    }
    criteria, _ = acceptance_files(root)
    return marks | {criterion_mark(one.id): one.claim for one in criteria.criteria}


def acceptance_files(root: Path) -> tuple[CriteriaFile, DefectsFile]:
    """The criteria and the known defects of a project. Raises `FileFormatError`."""
    criteria = load_criteria(root / FOLDER / _CRITERIA).value
    file = root / FOLDER / _DEFECTS
    defects = load_defects(file).value if file.is_file() else DefectsFile(schema=1)
    return criteria, defects


class Acceptance:
    """A plugin of its own, registered in projects that have criteria."""

    def __init__(self, root: Path, settings: Settings, workbench: Callable[[], Workbench], *, falsify: bool) -> None:
        self.criteria, self.defects = acceptance_files(root)
        self._settings = settings
        self._workbench = workbench
        self._falsify = falsify

    # -- which items there are ----------------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item for each engine and model; one for each known defect."""
        if "defect" in metafunc.fixturenames:
            found = [] if self._falsify else list(self.defects.defects)
            metafunc.parametrize("defect", found, ids=[one.id for one in found])
        mark = metafunc.definition.get_closest_marker("criterion")
        if mark is None or "_asked" not in metafunc.fixturenames:
            return
        criterion = self._criterion(mark, metafunc.definition.nodeid)
        engines = (SUITE,) if mark.kwargs.get("asks") == SUITE else self._settings.engines
        models = ("-",) if mark.kwargs.get("asks") == SUITE else self._models(criterion)
        asked = [
            Asked(criterion.id, metafunc.function.__name__, engine, model) for engine in engines for model in models
        ]
        ids = [SUITE if one.engine == SUITE else f"{one.engine}-{one.model}" for one in asked]
        metafunc.parametrize("_asked", asked, ids=ids, indirect=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Marks by which -m finds it."""
        mark = item.get_closest_marker("criterion")
        if mark is not None:
            item.add_marker("acceptance")
            item.add_marker(criterion_mark(mark.args[0]))
            stated = self.criteria.named(mark.args[0])
            if stated is not None:
                subject = {"claim": stated.claim, "part": stated.part}
                leave_detail(item, lambda: Detail(subject=subject))
            item.stash[_SABOTEUR] = self._saboteur(item) if self._falsify else None
        if "defect" in getattr(item, "fixturenames", ()):
            for name in ("defects", "real_apr", *(["acceptance"] if "apr" in self._settings.engines else [])):
                item.add_marker(name)

    # -- what an item does --------------------------------------------------------------------------------------------

    @pytest.fixture
    def _asked(self, request: pytest.FixtureRequest) -> Asked:
        asked: Asked = request.param
        return asked

    @pytest.fixture
    def trial(self, request: pytest.FixtureRequest, _asked: Asked) -> Trial:
        """One criterion's trial on one model by one engine."""
        return Trial(self._workbench(), _asked, self._scratch(), request.node.stash.get(_SABOTEUR, None))

    @pytest.fixture
    def defective(self, defect: Defect) -> Engine:
        """The engine that a known defect is one of. Skips where it, or what the defect's command needs, is not here."""
        missing = [name for name in defect.needs if shutil.which(name) is None]
        if missing:
            pytest.skip(f"its command needs {', '.join(missing)} on PATH")
        try:
            return self._workbench().engine(defect.engine)
        except EngineMissingError as error:
            pytest.skip(str(error))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Decide the criterion. In set-up, so that our own trouble is an error."""
        trial = getattr(item, "funcargs", {}).get("trial")
        if item.get_closest_marker("criterion") is None or not isinstance(trial, Trial):
            return
        assert isinstance(item, pytest.Function)
        unfalsifiable = item.get_closest_marker("unfalsifiable")
        if self._falsify and unfalsifiable is not None:
            _leave(item, _untried(trial, f"unfalsifiable: {unfalsifiable.args[0]}"))
            return
        function, names = item.obj, item._fixtureinfo.argnames
        criterion = self._criterion(item.get_closest_marker("criterion"), item.nodeid)
        refusal = None
        if trial.saboteur is None:
            refusal = self.defects.refusal(criterion.id, trial.asked.part, trial.asked.engine)
        try:
            test = partial(function, **{name: item.funcargs[name] for name in names})
            result = decide(trial, criterion, test, refusal)
        except Exception as error:
            _leave(item, _untried(trial, f"{type(error).__name__}: {error}", CriterionOutcome.ERROR))
            if isinstance(error, AprLeaderboardError):
                pytest.fail(str(error), pytrace=False)  # in set-up, so an error
            raise
        _leave(item, self._with_reproducers(result))

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Tell what the set-up found."""
        result = pyfuncitem.stash.get(_RESULT, None)
        if result is None:
            return None
        if self._falsify:
            _tell_saboteur(result)
        else:
            _tell(result)
        return True

    def _with_reproducers(self, result: CriterionResult) -> CriterionResult:
        """With the commands of the known defects behind it: they need this run's store as little as this machine."""
        known = [] if result.saboteur is not None else known_behind(result, self.defects)
        told = [f"# {one.id}: for sh, in an empty folder with {TINY_MODEL}\n{one.command.rstrip()}" for one in known]
        return result.model_copy(update={"commands": (*result.commands, *told)})

    # -- inside -------------------------------------------------------------------------------------------------------

    def _scratch(self) -> Path:
        """In the run's own folder, which goes when the run ends."""
        runner = self._workbench().runner
        folder = runner.store.root / "runs" / runner.run_id / f"trials-{os.getpid()}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _criterion(self, mark: pytest.Mark | None, where: str) -> Criterion:
        name = mark.args[0] if mark is not None and mark.args else ""
        found = self.criteria.named(str(name))
        if found is None:
            known = ", ".join(one.id for one in self.criteria.criteria)
            raise RequestError(f"{where}: criterion: got {name!r}; accepted: {known}")
        return found

    def _models(self, criterion: Criterion) -> tuple[str, ...]:
        if self._settings.model is not None:
            return (self._settings.model,)
        return criterion.models.get(self._settings.profile, _MODELS[self._settings.profile])

    def _saboteur(self, item: pytest.Item) -> Saboteur | None:
        if item.get_closest_marker("unfalsifiable") is not None:
            return None
        mark = item.get_closest_marker("falsified_by")
        if mark is None:
            raise RequestError(f"{item.nodeid}: got no saboteur; accepted: the mark falsified_by, or unfalsifiable")
        return saboteur_named(str(mark.args[0]))


def _leave(item: pytest.Item, result: CriterionResult) -> None:
    """Keep the result for the call, and for every report."""
    item.stash[_RESULT] = result
    leave_payload(item, {"criterion": result.model_dump(mode="json")})
    told: list[tuple[str, Any]] = [
        ("criterion", result.criterion),
        ("outcome", result.outcome.value),
        ("engine", f"{result.engine} {result.engine_version}".strip()),
        ("model", result.model),
    ]
    told += [(f"figure {one.name}", f"{one.value} {one.unit}".strip()) for one in result.measures]
    told += [(f"bound {one.name}", one.bound) for one in result.measures if one.bound is not None]
    told += [("command", command) for command in result.commands]
    told += [(name, value) for name, value in (("reason", result.reason), ("words", result.words)) if value]
    item.user_properties += told


def _untried(trial: Trial, reason: str, outcome: CriterionOutcome = CriterionOutcome.NOT_RUN) -> CriterionResult:
    return CriterionResult(
        criterion=trial.asked.criterion,
        part=trial.asked.part,
        engine=trial.asked.engine,
        model=trial.asked.model,
        profile=trial.profile,
        outcome=outcome,
        reason=reason,
        measures=tuple(trial.measures),
        commands=tuple(trial.commands),
        seconds=round(trial.seconds, 3),
        saboteur=None if trial.saboteur is None else trial.saboteur.words,
    )


def _tell(result: CriterionResult) -> None:
    if result.outcome is CriterionOutcome.FAIL:
        pytest.fail(_story(result), pytrace=False)
    if result.outcome is CriterionOutcome.BLOCKED:
        pytest.skip(f"blocked: {result.reason}")
    if result.outcome is CriterionOutcome.NOT_RUN:
        pytest.skip(f"not run: {result.reason}")


def _tell_saboteur(result: CriterionResult) -> None:
    """Red is what a saboteur is for: the test passes where its criterion failed by a figure."""
    if result.outcome is CriterionOutcome.PASS:
        pytest.fail(f"green with its saboteur in place: {result.saboteur}", pytrace=False)
    if result.outcome is not CriterionOutcome.FAIL:
        pytest.skip(f"{result.outcome.value}: {result.reason}")
    if result.words:
        pytest.fail(f"the saboteur ({result.saboteur}) broke the engine itself: {result.reason}", pytrace=False)


def _story(result: CriterionResult) -> str:
    lines = [result.reason]
    if result.words and result.words not in result.reason:
        lines += ["its own words:", result.words]
    lines += [f"{one.name}: {one.value} {one.unit}".rstrip() for one in result.measures]
    lines += [f"command: {command}" for command in result.commands[-3:]]
    return "\n".join(lines)
