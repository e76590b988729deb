"""What measured checks make of trained models: the recipes' own steps, made only where somebody waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from apr_leaderboard.engine import make_engine
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.model.stage import StageName, StageParams
from apr_leaderboard.pipeline import Settings, Workbench
from apr_leaderboard.proof import Lab, NotHere, Refuted
from apr_leaderboard.proof.alone import alone, answer_alone, contents, program_of
from apr_leaderboard.proof.asking import solved
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.trained import ALIGN, DISTILL, FINETUNE_ON, PRUNE, TEACHER, harmful, staged


@pytest.fixture
def impatient(project_root: Path, tmp_path: Path) -> Iterator[Lab]:
    """A lab over an empty store, where nobody waits."""
    workbench = Workbench(
        root=project_root,
        store_root=tmp_path / "store",
        run_folder=tmp_path / "store" / "runs" / "test",
        settings=Settings(),
        make_engine=make_engine,
    )
    lab = Lab(lambda: workbench, patient=False)
    lab.folder = tmp_path / "lab"
    lab.folder.mkdir()
    yield lab
    workbench.close()


@pytest.mark.parametrize(
    ("recipe", "stage", "params"),
    [
        ("recipe-c-full-pipeline", StageName.DISTILL, DISTILL),
        ("recipe-k-final-artifact", StageName.PRUNE, PRUNE),
        ("recipe-l-dpo-alignment", StageName.FINETUNE, ALIGN),
    ],
    ids=["distill", "prune", "align"],
)
def test_parameters_of_checks_are_the_recipes(
    project_root: Path, recipe: str, stage: StageName, params: StageParams
) -> None:
    """Else the work would be done twice, and the contract would say of a recipe what it does not do."""
    loaded = load_recipe(project_root / "recipes" / f"{recipe}.yaml").value
    assert loaded.profiles["smoke"].params(stage) == params


def test_harmful_training_changes_the_learning_rate_alone() -> None:
    """The saboteur breaks one thing."""
    assert harmful(FINETUNE_ON).model_dump(exclude={"learning_rate"}) == FINETUNE_ON.model_dump(
        exclude={"learning_rate"}
    )


def test_trained_model_where_nobody_waits_is_not_here(impatient: Lab) -> None:
    """A plain run makes nothing that takes minutes."""
    with pytest.raises(NotHere, match="needs the model smoke-teacher"):
        staged(impatient, TEACHER, PRUNE)
    assert not list((impatient.workbench.store.root / "entries").glob("*/*"))


def test_stage_where_nobody_waits_is_not_here(impatient: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does it do stages on a model that is there, nor ask it."""
    monkeypatch.setattr(impatient, "named", lambda _: impatient.specimen())
    with pytest.raises(NotHere, match="after prune"):
        staged(impatient, TEACHER, PRUNE)
    with pytest.raises(NotHere, match="answers to the smoke suite"):
        solved(impatient, impatient.specimen())


def test_program_that_fails_alone_is_refuted(impatient: Lab, tmp_path: Path) -> None:
    """With how it ended and what it said."""
    program = tmp_path / "model"
    program.write_text("#!/bin/sh\necho no weights >&2\nexit 3\n", encoding="utf-8")
    with pytest.raises(Refuted, match="exit code 3: no weights"):
        answer_alone(alone(program, impatient), "def add(a, b):", 4)


def test_program_alone_has_neither_our_folder_nor_our_environment(
    impatient: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees itself, PATH and what a shell adds."""
    monkeypatch.setenv("OURS", "1")
    program = tmp_path / "model"
    program.write_text('#!/bin/sh\necho "$(ls) ${OURS:-none} $2"\n', encoding="utf-8")
    (tmp_path / "beside").touch()
    assert answer_alone(alone(program, impatient), "asked", 4) == "model none asked"


def test_contents_of_machine_code_are_not_here(tmp_path: Path) -> None:
    """Nothing can be said of weights that cannot be read."""
    program = tmp_path / "model"
    program.write_bytes(b"\x7fELF" + bytes(64))
    with pytest.raises(NotHere, match="machine code does not"):
        contents(program)


def test_program_of_another_job_is_trouble(tmp_path: Path) -> None:
    """The harness asked for the wrong thing; the candidate did nothing."""
    with pytest.raises(HarnessError, match="left no program"):
        program_of(Made(None, tmp_path))  # type: ignore[arg-type]
