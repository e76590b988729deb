"""A recipe broken off in the middle of a stage and gone on with, in a store that has never seen that stage."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Progress
from apr_leaderboard.model.stage import StageName
from apr_leaderboard.pipeline import EngineStep
from apr_leaderboard.pipeline.steps import Runner, Upstream
from apr_leaderboard.proof import Refuted
from apr_leaderboard.store import Store

__all__ = ["resumed_digests"]


class _Interrupted(Exception):  # noqa: N818 - what a user's Ctrl-C is to a run
    """The run is broken off."""


def resumed_digests(trial: Trial, recipe: str, stage: StageName) -> tuple[dict[str, str], dict[str, str]]:
    """Stage -> digest of what it left, from `stage` on: in this run's store, and broken off and resumed in another."""
    steps = {one.name: one.step for one in trial.plan(recipe).stages if one.step is not None}
    names = [name for name in steps if list(steps).index(name) >= list(steps).index(stage)]
    for name in steps:
        trial.note(trial.workbench.runner.run(steps[name]))
    whole = {name.value: trial.workbench.runner.run(steps[name]).entry.digest for name in names}
    found: dict[str, Any] = trial.remember(
        f"{recipe} resumed at {stage.value}", whole, lambda: _resume(trial, {name: steps[name] for name in names})
    )
    return whole, {str(name): str(digest) for name, digest in found.items()}


def _resume(trial: Trial, steps: Mapping[StageName, EngineStep]) -> dict[str, Any]:
    root = trial.folder / "resumed"
    shutil.rmtree(root, ignore_errors=True)
    store = Store(root)
    made = {step.key for step in steps.values()}
    try:
        for step in steps.values():
            _seed(trial.workbench.store, store, [one for one in step.upstream if one.key not in made])
        _break_off(store, next(iter(steps.values())))
        runner = Runner(store, "resumed", lambda what: lambda progress: None, lambda: None)
        return {name.value: runner.run(step).entry.digest for name, step in steps.items()}
    finally:
        store.close()


def _break_off(store: Store, step: EngineStep) -> None:
    """Start the step, and end it at its first word of progress. Nothing of it may stay in the store."""
    runner = Runner(store, "broken-off", lambda what: _ending, lambda: None)
    try:
        runner.run(step)
    except _Interrupted:
        if store.peek(step.node) is not None:
            raise Refuted("what was broken off stands in the store as if it were done") from None
        return
    # An engine that tells of no progress is done before it can be broken off: its entry is taken away again.
    entry = store.path(step.node).parent
    for path in [entry, *entry.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    shutil.rmtree(entry)


def _ending(progress: Progress) -> None:
    raise _Interrupted(progress.what)


def _seed(source: Store, target: Store, upstream: list[Upstream]) -> None:
    """Copy the entries that the steps start from: they are not what is tested."""
    for one in upstream:
        if not isinstance(one, EngineStep):
            continue
        place = source.path(one.node).parent
        copy = target.path(one.node).parent
        if place.is_dir() and not copy.is_dir():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(place, copy)
