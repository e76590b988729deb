"""What stands beside Allure's results: the environment, the categories, each recipe as a whole."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.model.results import Results, StageOutcome, StageResult
from apr_leaderboard.report.allure.story import Category, Status, headline_of, ids_of, stage_category, stage_status

__all__ = ["CATEGORIES", "CONFIG", "ENVIRONMENT", "RECIPE_MARK", "write_folder", "write_settings"]

ENVIRONMENT: Final = "environment.properties"
CATEGORIES: Final = "categories.json"
CONFIG: Final = "allurerc.json"
RECIPE_MARK: Final = "recipe-as-a-whole"
"""The tag of results that sum a recipe up."""

_TITLES = {
    Category.CANDIDATE: "Candidate: not solved, or short of a threshold",
    Category.ENGINE: "Engine: it did not do the stage",
    Category.HARNESS: "Harness: our side broke",
    Category.BLOCKED: "Blocked: cannot be decided here",
    Category.NOT_RUN: "Not run: an earlier stage failed, or something is missing",
}
_STATUSES = {
    Category.CANDIDATE: (Status.FAILED,),
    Category.ENGINE: (Status.FAILED,),
    Category.HARNESS: (Status.BROKEN, Status.FAILED),
    Category.BLOCKED: (Status.SKIPPED,),
    Category.NOT_RUN: (Status.SKIPPED,),
}
_WORST = (Status.BROKEN, Status.FAILED, Status.SKIPPED, Status.PASSED)


def write_folder(folder: Path, results: Results) -> None:
    """Write it all. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_settings(folder)
    lines = "".join(f"{_escaped(name)}={value}\n" for name, value in _environment(results))
    (folder / ENVIRONMENT).write_text(lines, encoding="utf-8")
    started = int(datetime.fromisoformat(results.run.started).timestamp() * 1000)
    for stages in _runs_of_recipes(results.stages):
        _write_recipe(folder, stages, started)


def write_settings(folder: Path) -> None:
    """Write the categories, for Allure 2 (categories.json) and for Allure 3 (allurerc.json)."""
    twos = [
        {
            "name": _TITLES[category],
            "matchedStatuses": [status.value for status in _STATUSES[category]],
            "messageRegex": f"(?s){category}:.*",
        }
        for category in Category
    ]
    threes = [
        {
            "name": _TITLES[category],
            "matchers": [{"labels": {"category": f"^{category}$"}}],
            "groupByMessage": category is not Category.CANDIDATE,
        }
        for category in Category
    ]
    config = {
        "name": "apr-leaderboard",
        "categories": threes,
        "plugins": {"awesome": {"options": {"groupBy": ["parentSuite", "suite", "subSuite"]}}},
    }
    for name, body in ((CATEGORIES, twos), (CONFIG, config)):
        (folder / name).write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")


def _environment(results: Results) -> Iterator[tuple[str, str]]:
    run = results.run
    commit = f" at {run.tool.commit[:12]}{' with changes' if run.tool.dirty else ''}" if run.tool.commit else ""
    yield "apr-leaderboard", f"{run.tool.version}{commit}"
    for engine in run.engines:
        yield f"engine {engine.name}", f"{engine.version} (build {engine.build[:12]})"
    yield "python", run.python
    yield "machine", f"{run.machine.system}, {run.machine.processor}, {run.machine.cores} cores"
    if run.sandbox:
        yield "sandbox", run.sandbox
    for what, digests in (("dataset", run.datasets), ("model", run.models)):
        for name, digest in sorted(digests.items()):
            yield f"{what} {name}", digest[:16]
    yield "valid", "yes" if run.valid else "NO: a self-check failed, no score counts"


def _escaped(name: str) -> str:
    """A key of a properties file: a space, a colon or an equals sign in it would end it."""
    return "".join(f"\\{letter}" if letter in " :=\\" else letter for letter in name)


def _runs_of_recipes(stages: Sequence[StageResult]) -> Iterator[list[StageResult]]:
    runs: dict[tuple[str, str, str], list[StageResult]] = {}
    for stage in stages:
        runs.setdefault((stage.recipe, stage.engine, stage.profile), []).append(stage)
    yield from runs.values()


def _write_recipe(folder: Path, stages: Sequence[StageResult], started: int) -> None:
    """One result for a recipe on an engine, its stages as steps; its id is the same in every shard."""
    first = stages[0]
    identity = {"engine": first.engine, "profile": first.profile}
    full_name = f"{first.recipe}::whole"
    test_id, history_id = ids_of(full_name, identity)
    steps, at = [], started
    for stage in stages:
        steps.append(_step(stage, at))
        at = steps[-1]["stop"]
    status = next(status for status in _WORST if any(step["status"] == status.value for step in steps))
    bad = next((stage for stage in stages if stage_status(stage.outcome) is status), first)
    category = stage_category(bad)
    labels = {
        "parentSuite": "recipes",
        "suite": first.recipe,
        "subSuite": f"by {first.engine}",
        "epic": "Recipes",
        "feature": first.recipe,
        "tag": RECIPE_MARK,
        **({"category": category.value} if category else {}),
    }
    done = sum(stage.outcome is StageOutcome.PASSED for stage in stages)
    body: dict[str, Any] = {
        "uuid": str(uuid.uuid4()),
        "name": f"{first.recipe}: {done} of {len(stages)} stages passed",
        "fullName": full_name,
        "testCaseId": test_id,
        "historyId": history_id,
        "status": status.value,
        "steps": steps,
        "parameters": [{"name": name, "value": value} for name, value in identity.items()],
        "labels": [{"name": name, "value": value} for name, value in labels.items()],
        "start": started,
        "stop": at,
    }
    if category:
        body["statusDetails"] = {"message": f"{category}: {bad.stage}: {bad.reason or bad.outcome.value}"}
    (folder / f"{body['uuid']}-result.json").write_text(json.dumps(body, ensure_ascii=False), encoding="utf-8")


def _step(stage: StageResult, started: int) -> dict[str, Any]:
    headline = headline_of(stage)
    step: dict[str, Any] = {
        "name": f"{stage.stage}: {headline}" if headline else stage.stage,
        "status": stage_status(stage.outcome).value,
        "start": started,
        "stop": started + max(1, round(stage.seconds * 1000)),
        "parameters": [{"name": name, "value": str(value)} for name, value in stage.figures.items()],
    }
    if stage.reason:
        step["statusDetails"] = {"message": stage.reason}
    return step
