"""The infrastructure pair: a forjar manifest, and a playbook that equals the recipes."""

from __future__ import annotations

from pathlib import Path

import pytest

from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.model.catalogue import load_catalogue
from apr_leaderboard.model.manifest import Model, load_manifest
from apr_leaderboard.model.playbook import load_playbook, main
from apr_leaderboard.model.recipe import Recipe, load_recipe


@pytest.fixture(scope="module")
def infra(project_root: Path) -> Path:
    """The folder of the two."""
    return project_root / "recipes" / "infra"


@pytest.fixture(scope="module")
def recipes(project_root: Path) -> list[Recipe]:
    """The project's own."""
    return [load_recipe(file).value for file in sorted((project_root / "recipes").glob("recipe-*.yaml"))]


def test_playbook_has_the_stages_of_every_recipe_in_their_order(infra: Path, recipes: list[Recipe]) -> None:
    """Each with a command that asks for that stage of that recipe, after the one before it."""
    playbook = load_playbook(infra / "playbook.yaml")
    for recipe in recipes:
        assert playbook.stages_of(recipe.name) == tuple(stage.value for stage in recipe.stages)
        before = "validate"
        for stage in recipe.stages:
            name = f"{recipe.name}/{stage.value}"
            found = playbook.stages[name]
            assert f'"{recipe.marks[0]} and stage_{stage.value.replace("-", "_")}"' in found.cmd
            assert found.after == (before,)
            before = name
    assert len(playbook.stages) == sum(len(recipe.stages) for recipe in recipes) + 2


def test_playbook_is_what_the_recipes_come_to(infra: Path, project_root: Path, tmp_path: Path) -> None:
    """The file is written by the program that is named in it, and nobody has changed it since."""
    for file in (project_root / "recipes").glob("recipe-*.yaml"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    main([str(tmp_path)])
    assert (tmp_path / "infra" / "playbook.yaml").read_text() == (infra / "playbook.yaml").read_text()


def test_playbook_covers_every_phase(infra: Path) -> None:
    """From reading the recipes to publishing."""
    phases = [stage.phase for stage in load_playbook(infra / "playbook.yaml").stages.values()]
    assert set(phases) == {"validate", "data", "import", "optimise", "evaluate", "publish"}
    assert (phases[0], phases[-1]) == ("validate", "publish")


def test_manifest_brings_every_public_model_the_real_profiles_start_from(
    infra: Path, project_root: Path, recipes: list[Recipe]
) -> None:
    """By the repository the catalogue names; with the digest where it is known."""
    catalogue = load_catalogue(project_root / "recipes" / "catalogue.yaml").models
    brought = {
        name: one for name, one in load_manifest(infra / "forjar.yaml").resources.items() if isinstance(one, Model)
    }
    for name in {recipe.profiles["real"].model for recipe in recipes}:
        entry = catalogue[name]
        assert brought[name].source == getattr(entry.sources[0], "repo", None)
        known = [f"sha256:{facts.sha256}" for facts in entry.files.values()]
        assert [brought[name].checksum] == (known or [None])


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("depends_on: [plan]", "depends_on: [plans]", "contracts depends on 'plans'; allowed: a resource above it"),
        ("provider: cargo", "provider: pip", "got 'pip'"),
        ("machine: bench\n    gpu", "machine: bank\n    gpu", "gpu-0 is on 'bank'; allowed: bench"),
    ],
    ids=["dependency", "provider", "machine"],
)
def test_wrong_manifest_is_told(infra: Path, tmp_path: Path, old: str, new: str, told: str) -> None:
    """What forjar would only find on the machine."""
    text = (infra / "forjar.yaml").read_text()
    assert old in text
    (tmp_path / "forjar.yaml").write_text(text.replace(old, new))
    with pytest.raises(FileFormatError) as caught:
        load_manifest(tmp_path / "forjar.yaml")
    assert told in str(caught.value)
