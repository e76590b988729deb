"""Between pytest's items and Allure's results: amends each result of ours before it is written.

allure-pytest makes one result an item, in whichever process ran it, but knows an item by its function and parameters,
and ours have neither. Its results pass through a hook on their way to the file; this is where they are put right.
"""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import allure_commons
import pytest
from allure_commons.model2 import Attachment, Label, Parameter, StatusDetails, TestResult

from apr_leaderboard.errors import AprLeaderboardError, EngineError
from apr_leaderboard.model.results import Results
from apr_leaderboard.report.allure.criteria import criterion_story
from apr_leaderboard.report.allure.folder import write_folder
from apr_leaderboard.report.allure.story import Category, Status, Story, ids_of, story_of
from apr_leaderboard.report.detail import Detail, Exhibit, detail_of
from apr_leaderboard.report.payload import payload_left

__all__ = ["MOST_CHARACTERS", "AllureBridge"]

MOST_CHARACTERS = 16_000
"""Of one attachment; the middle of what is longer is left out."""

_PLACE = ("parentSuite", "suite", "subSuite")
_BEHAVIOUR = ("epic", "feature", "story")


class AllureBridge:
    """A plugin of pytest and of allure_commons, one a process. `results` is asked for when the session ends."""

    def __init__(self, folder: Path, command: Sequence[str], results: Callable[[], Results | None]) -> None:
        self._folder = folder
        self._command = tuple(command)
        self._results = results
        self._item: pytest.Item | None = None
        self._error: BaseException | None = None

    def pytest_configure(self) -> None:
        """Begin to listen."""
        allure_commons.plugin_manager.register(self)

    def pytest_unconfigure(self) -> None:
        """Listen no more."""
        if allure_commons.plugin_manager.is_registered(self):
            allure_commons.plugin_manager.unregister(self)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Forget the item before."""
        self._item = self._error = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """The next result is this item's: allure-pytest writes it before the next item begins."""
        self._item = item

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """Remember what was raised first."""
        if item is self._item and call.excinfo is not None and self._error is None:
            self._error = call.excinfo.value

    @allure_commons.hookimpl(tryfirst=True)
    def report_result(self, result: TestResult) -> None:
        """Put a result right before the file logger, which comes after, writes it."""
        item, error = self._item, self._error
        if item is None:
            return
        payload = payload_left(item) or {}
        try:
            detail = detail_of(item)
        except (AprLeaderboardError, OSError) as trouble:  # a report that lacks something must not end the run
            detail = Detail(exhibits=(Exhibit("evidence", f"could not be gathered: {trouble}"),))
        story = criterion_story(item, payload, result.status, detail.subject) or story_of(payload, detail.headline)
        if story is not None:
            amend(result, story)
        elif item.get_closest_marker("contracts"):
            level = [str(value) for name, value in item.user_properties if name == "level"]
            _relabel(result, ("contracts", item.path.stem, *level), ("Contracts", item.path.stem, *level))
            _categorize(result, error)
        elif detail.subject:
            _score(result, item, detail)
            _categorize(result, error)
        else:
            return
        self._attach(result, item, detail)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what stands beside the results; only where all of a run is known."""
        if hasattr(session.config, "workerinput"):
            return
        results = self._results()
        if results is not None:
            write_folder(self._folder, results)

    def _attach(self, result: TestResult, item: pytest.Item, detail: Detail) -> None:
        if result.status == Status.PASSED:
            return
        task = item.name.partition("[")[0]
        again = Exhibit("reproduce", f"pytest {shlex.join([*self._command, '-k', task])}\n", "sh")
        for exhibit in (*detail.exhibits, again):
            name = f"{uuid.uuid4()}-attachment.{exhibit.kind}"
            allure_commons.plugin_manager.hook.report_attached_data(body=shortened(exhibit.text), file_name=name)
            result.attachments.append(Attachment(name=exhibit.name, source=name, type=_MIME[exhibit.kind]))


_MIME = {"txt": "text/plain", "py": "text/x-python", "sh": "text/x-sh", "md": "text/markdown"}


def amend(result: TestResult, story: Story) -> None:
    """Make a result tell a story."""
    result.name = story.name
    result.fullName = story.full_name
    result.testCaseId, result.historyId = ids_of(story.full_name, story.identity)
    result.titlePath = list(story.place)
    result.status = story.status.value
    result.statusDetails = _details(result, story.message) if story.category else None
    if story.description:
        result.description = story.description
    result.parameters = [Parameter(name=name, value=value) for name, value in story.identity.items()]
    result.parameters += [
        Parameter(name=name, value=value, excluded=True) for name, value in story.facts.items() if value
    ]
    _relabel(result, story.place, story.behaviour)
    more = {**story.labels, **({"category": story.category.value} if story.category else {})}
    result.labels += [Label(name=name, value=value) for name, value in more.items()]


def _details(result: TestResult, message: str) -> StatusDetails:
    """The message, with allure-pytest's trace; where something was skipped that is but the place of the skip."""
    traced = result.statusDetails is not None and result.status != Status.SKIPPED
    return StatusDetails(message=message, trace=result.statusDetails.trace if traced else None)


def _score(result: TestResult, item: pytest.Item, detail: Detail) -> None:
    """The verdict on a benchmark that no recipe asked for."""
    who = dict(detail.subject)
    benchmark = who.pop("benchmark")
    result.name = f"{item.name}: {detail.headline}" if detail.headline else item.name
    result.fullName = f"{benchmark}::score"
    result.testCaseId, result.historyId = ids_of(result.fullName, who)
    result.parameters = [Parameter(name=name, value=value) for name, value in who.items()]
    place = ("benchmarks", benchmark, f"{who['model']} by {who['engine']}")
    result.titlePath = list(place)
    _relabel(result, place, ("Benchmarks", benchmark, who["model"]))


def shortened(text: str) -> str:
    """A text with its middle left out where it is too long to attach."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half} characters left out ...]\n{text[-half:]}"


def _relabel(result: TestResult, place: Sequence[str], behaviour: Sequence[str]) -> None:
    ours = {*_PLACE, *_BEHAVIOUR}
    result.labels = [label for label in result.labels if label.name not in ours]
    for names, values in ((_PLACE, place), (_BEHAVIOUR, behaviour)):
        result.labels += [Label(name=name, value=value) for name, value in zip(names, values, strict=False)]


def _categorize(result: TestResult, error: BaseException | None) -> None:
    """Whose trouble it is, of an item that left no payload: by what it raised, and pytest's word for when."""
    if result.status == Status.PASSED or error is None:
        return
    text = str(error) or type(error).__name__
    if result.status == Status.SKIPPED:
        category = Category.BLOCKED if text.startswith("open:") else Category.NOT_RUN
    elif isinstance(error, EngineError):
        category, result.status = Category.ENGINE, Status.FAILED.value
    elif isinstance(error, pytest.fail.Exception):  # ours raise it in set-up alone, where it is an error
        category, result.status = Category.HARNESS, Status.BROKEN.value
    elif type(error).__name__ in ("Failure", "Refuted"):
        category, result.status = Category.CANDIDATE, Status.FAILED.value
    else:
        category, result.status = Category.HARNESS, Status.BROKEN.value
    result.statusDetails = _details(result, f"{category}: {text}")
    result.labels.append(Label(name="category", value=category.value))
