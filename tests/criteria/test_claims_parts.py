"""Parts that several criteria ask: published scores, programs alone, a run that is broken off."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apr_leaderboard.criteria import Asked, SabotagedEngine, Trial, reproduce, saboteur_named
from apr_leaderboard.criteria.resuming import _break_off
from apr_leaderboard.criteria.running import answer_alone
from apr_leaderboard.criteria.scoring import published_of
from apr_leaderboard.engine import Checkpoint, Progress
from apr_leaderboard.model.criterion import Defect
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.pipeline import EngineStep, Workbench
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.store import Node, Store


def trial_on(folder: Path, published: dict[str, float], saboteur: str | None = None) -> Trial:
    """On a model of which these scores are published, in percent."""
    entry = SimpleNamespace(published=[SimpleNamespace(of=published.get)])
    bench = SimpleNamespace(sources=SimpleNamespace(entry=lambda name: entry))
    broken = None if saboteur is None else saboteur_named(saboteur)
    return Trial(cast(Workbench, bench), Asked("AC-021", "test_it", "fake", "m"), folder, broken)


def test_published_score_is_a_share_and_none_is_not_here(tmp_path: Path) -> None:
    """Published in percent; without one nothing can be held against it, but by a saboteur that solves nothing."""
    assert published_of(trial_on(tmp_path, {"humaneval": 61.6}), "humaneval") == pytest.approx(0.616)
    with pytest.raises(NotHere, match="needs a published score of m on mbpp"):
        published_of(trial_on(tmp_path, {"humaneval": 61.6}), "mbpp")
    assert published_of(trial_on(tmp_path, {}, "model-knows-nothing"), "mbpp") == 1.0


@pytest.mark.parametrize("words", ["", "  "])
def test_program_that_ends_well_and_says_nothing_does_not_answer(words: str, tmp_path: Path) -> None:
    """Exit code 0 is no answer."""
    program = tmp_path / "model"
    program.write_text(f"#!/bin/sh\necho '{words}'\n", encoding="utf-8")
    made = Made(cast(Any, None), tmp_path, Checkpoint(program, "program"))
    with pytest.raises(Refuted, match="says nothing"):
        answer_alone(made, "def add(a, b):")
    program.write_text("#!/bin/sh\necho ' return a + b'\n", encoding="utf-8")
    assert answer_alone(made, "def add(a, b):") == ("return a + b", program.stat().st_size)


class Told:
    """An engine that tells of its progress, as far as it gets."""

    name = "told"

    def run(self, job: object, out: Path, watch: Any) -> Any:
        """Leave half of a file."""
        (out / "half").touch()
        watch(Progress("training", 1, 2, "steps"))
        raise AssertionError("it is to be broken off")


def test_step_that_is_broken_off_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    """And one that would be there is refuted, not gone on with."""
    step = EngineStep("a step", cast(Any, Told()), Node("prune", {}), (), lambda models: cast(Any, None))
    store = Store(tmp_path / "store")
    _break_off(store, step)
    assert store.peek(step.node) is None
    store.close()
    (tmp_path / "out").mkdir()
    careless = SimpleNamespace(
        root=tmp_path,
        get=lambda node: None,
        compute=lambda node, build, **_: build(tmp_path / "out"),
        peek=lambda node: object(),
    )
    with pytest.raises(Refuted, match="stands in the store as if it were done"):
        _break_off(cast(Store, careless), step)


@pytest.mark.parametrize(
    ("program", "there"),
    [("echo torn; exit 3", True), ("echo torn; exit 0", False), ("echo whole; exit 3", False)],
    ids=["as known", "ends well", "other words"],
)
def test_known_defect_is_there_only_with_its_words_and_its_exit_code(program: str, there: bool, tmp_path: Path) -> None:
    """One of both is another defect, or none."""
    binary = tmp_path / "program"
    binary.write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
    binary.chmod(0o755)
    maker = tmp_path / "maker.py"
    maker.touch()
    defect = Defect.model_validate(
        {
            "id": "torn-file", "engine": "fake", "versions": ["1"], "criteria": ["AC-001"], "command": "fake export",
            "expected": "a file", "got": "half", "shown": {"output": "torn", "exit_code": 3}, "found": "2026-11-23",
        }
    )  # fmt: skip
    found = reproduce(defect, binary, tmp_path / "run", maker)
    assert found.there is there
    assert ("still there" in found.statement(defect)) is there


def test_what_two_saboteurs_make_in_one_way_is_kept_apart() -> None:
    """By name; and none of it is the sound engine's."""
    identity = EngineIdentity(name="x", version="1", build="0")
    sound = cast(Any, SimpleNamespace(name="x", identity=lambda: identity))
    broken = [SabotagedEngine(sound, saboteur_named(name)).identity() for name in ("lora-unlearns", "wgpu-unlearns")]
    assert len({one.build for one in (identity, *broken)}) == 3
    assert {(one.name, one.version) for one in broken} == {("x", "1")}
