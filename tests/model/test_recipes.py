"""The twelve recipes: what the field's own have, and what makes their verdicts mean something."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.bench import benchmark_named, load_collections
from apr_leaderboard.model.catalogue import Catalogue, load_catalogue
from apr_leaderboard.model.monitoring import TRAINING_FIGURES
from apr_leaderboard.model.recipe import Recipe, load_recipe, order_warnings
from apr_leaderboard.model.stage import PREPARED, StageName

_LORA_16 = {"rank": 16, "epochs": 3}
FIELD: dict[str, dict[str, Any]] = {
    "recipe-a-quick-lora": {
        "import": {"quantization": "fp16"},
        "finetune": {"method": "lora", "learning_rate": 1e-4, "dataset": "code-instruct", **_LORA_16},
    },
    "recipe-b-merge-alchemist": {
        "import": {"quantization": "fp16"},
        "merge": {"strategy": "ties", "density": 0.2, "base_model": "qwen2.5-coder-7b"},
        "prune": {"method": "structured", "target_ratio": 0.15},
        "quantize": {"scheme": "q4k"},
    },
    "recipe-c-full-pipeline": {
        "import": {"quantization": "fp16"},
        "distill": {"strategy": "progressive", "temperature": 3.0, "alpha": 0.7},
        "finetune": {"method": "lora", "rank": 32, "learning_rate": 2e-4, "epochs": 5, "dataset": "code-instruct-50k"},
        "merge": {"strategy": "ties"},
        "prune": {"method": "wanda", "target_ratio": 0.2},
        "quantize": {"scheme": "int4"},
        "eval": {"prompt_profile": "scot"},
    },
    "recipe-d-sovereign-binary": {
        "import": {"quantization": "fp16"},
        "finetune": {"method": "qlora", "learning_rate": 1e-4, "dataset": "instruct", **_LORA_16},
        "prune": {"method": "magnitude", "target_ratio": 0.4},
        "quantize": {"scheme": "int4"},
        "compile": {"release": True, "lto": False, "strip": True, "output": "qwen-coder"},
    },
    "recipe-e-instruct-finetune": {
        "import": {},
        "prep-data": {"dataset": "instruct-corpus"},
        "finetune": {"method": "lora", "task": "instruct", "learning_rate": 2e-4, "model_size": "7B", **_LORA_16},
        "eval": {"prompt_profile": "scot"},
    },
    "recipe-f-qwen3-qlora": {
        "import": {"quantization": "fp16"},
        "finetune": {
            "method": "qlora", "task": "instruct", "dataset": "instruct-corpus", "learning_rate": 2e-4,
            "model_size": "8B", "quantize_nf4": True, "max_seq_len": 512, "vram": 8.0, "wait_gpu": 3600, **_LORA_16,
        },
    },
    "recipe-g-wgpu-proof": {
        "import": {},
        "finetune": {
            "method": "qlora", "task": "classify", "dataset": "wgpu-proof-subset", "rank": 8, "learning_rate": 2e-4,
            "epochs": 2, "model_size": "1.5B", "vram": 8.0,
        },
    },
    "recipe-h-32b-distill": {"distill": {"strategy": "progressive", "temperature": 4.0, "alpha": 0.8, "epochs": 3}},
    "recipe-i-humaneval-qlora": {
        "finetune": {
            "method": "qlora", "rank": 32, "learning_rate": 2e-4, "epochs": 3, "model_size": "7B",
            "dataset": "combined-training",
        },
    },
    "recipe-j-merge-specialists": {"merge": {"strategy": "ties", "density": 0.2}},
    "recipe-k-final-artifact": {
        "prune": {"method": "wanda", "target_ratio": 0.2, "calibration": "calibration"},
        "quantize": {"scheme": "int4"},
        "compile": {"release": True, "lto": True, "strip": True, "output": "qwen-coder-7b"},
    },
    "recipe-l-dpo-alignment": {
        "finetune": {
            "method": "dpo", "rank": 16, "learning_rate": 5e-5, "epochs": 3, "model_size": "7B", "beta": 0.1,
            "dataset": "preference-pairs",
        },
        "merge": {"strategy": "slerp"},
        "quantize": {"scheme": "q4k"},
    },
}  # fmt: skip
"""The parameters of the field's recipes, stage by stage, under the names they have here."""

STOPS = {"a": 1, "c": 2, "f": 1, "h": 1, "i": 2, "k": 1, "l": 1}
"""How many alerts of the field's recipes stop."""


@pytest.fixture(scope="module")
def recipes(project_root: Path) -> dict[str, Recipe]:
    """By name."""
    loaded = [load_recipe(file).value for file in sorted((project_root / "recipes").glob("recipe-*.yaml"))]
    return {recipe.name: recipe for recipe in loaded}


@pytest.fixture(scope="module")
def catalogue(project_root: Path) -> Catalogue:
    """The project's own."""
    return load_catalogue(project_root / "recipes" / "catalogue.yaml")


def test_there_are_the_field_s_twelve(recipes: dict[str, Recipe]) -> None:
    """By their names, in the golden order."""
    assert list(recipes) == list(FIELD)
    assert not [line for recipe in recipes.values() for line in order_warnings(recipe)]


@pytest.mark.parametrize("name", FIELD)
def test_real_profile_has_the_field_s_parameters(recipes: dict[str, Recipe], name: str) -> None:
    """Every one of them."""
    recipe = recipes[name]
    assert set(FIELD[name]) - {"eval"} == {stage.value for stage in recipe.stages} - {"eval"}
    for stage, wanted in {"eval": {"max_tokens": 512, "temperature": 0.0}, **FIELD[name]}.items():
        params = recipe.profiles["real"].params(StageName(stage))
        assert params is not None
        found = params.model_dump()
        assert {key: found[key] for key in wanted} == wanted


def test_alerts_are_the_field_s(recipes: dict[str, Recipe]) -> None:
    """As many that stop, on figures of a stage the recipe has; J's only warns."""
    stops = {
        name.split("-")[1]: sum(alert.action == "stop" for alert in recipe.monitoring.alerts)
        for name, recipe in recipes.items()
    }
    assert {letter: count for letter, count in stops.items() if count} == STOPS
    for recipe in recipes.values():
        trains = {StageName.FINETUNE, StageName.DISTILL, StageName.ALIGN} & set(recipe.stages)
        assert trains or not recipe.monitoring.alerts_on(TRAINING_FIGURES)


def test_every_name_in_a_recipe_stands_for_something(recipes: dict[str, Recipe], catalogue: Catalogue) -> None:
    """Models, datasets, teachers and other inputs are in the catalogue."""
    for recipe in recipes.values():
        for profile in recipe.profiles.values():
            body = profile.model_dump()
            stages = [value for value in body.values() if isinstance(value, dict)]
            data = {stage[key] for stage in stages for key in ("dataset", "calibration") if stage.get(key)}
            assert data - {PREPARED} <= set(catalogue.datasets)
            models = {
                profile.model,
                *(stage[key] for stage in stages for key in ("teacher", "base_model") if stage.get(key)),
            }
            models |= {name for stage in stages for name in stage.get("models", ())}
            assert models <= set(catalogue.models)


def test_smoke_profile_uses_what_the_suite_makes_alone(recipes: dict[str, Recipe], catalogue: Catalogue) -> None:
    """No hub, no file that is not in the repository."""
    for recipe in recipes.values():
        model = catalogue.models[recipe.profiles["smoke"].model]
        assert [source.kind for source in model.sources] == ["made"]
        assert recipe.profiles["smoke"].benchmarks == ("smoke",)


def test_smoke_verdict_would_miss_a_stage_that_did_nothing(recipes: dict[str, Recipe]) -> None:
    """A model that cannot do the task must learn it; one that can must still be able to."""
    for recipe in recipes.values():
        profile = recipe.profiles["smoke"]
        assert profile.eval is not None
        assert profile.eval.min_solved["smoke"] >= 1
        assert profile.model == "smoke-teacher" or profile.eval.max_baseline_solved == {"smoke": 0}


def test_real_verdict_is_the_field_s_target(recipes: dict[str, Recipe], project_root: Path) -> None:
    """The fraction the suite of the leaderboards has for a finetuned or an optimized model, of the problems asked."""
    targets = load_collections(project_root / "recipes" / "suites")["leaderboards"].targets
    for recipe in recipes.values():
        real = recipe.profiles["real"]
        assert real.eval is not None
        step = "optimized" if {StageName.PRUNE, StageName.QUANTIZE} & set(recipe.stages) else "finetuned"
        wanted = {
            name: math.ceil(targets[step][name] * (benchmark_named(name).n_problems or 0) - 1e-9)
            for name in real.benchmarks
            if name in targets[step]
        }
        assert real.eval.min_solved == ({} if recipe.name == "recipe-g-wgpu-proof" else wanted)


def test_subsets_are_what_their_program_makes(project_root: Path, tmp_path: Path) -> None:
    """The files of recipes/data and recipes/data/subsets.py agree."""
    made = runpy.run_path(str(project_root / "recipes" / "data" / "subsets.py"))
    made["main"]([str(tmp_path)])
    files = sorted(tmp_path.rglob("*.jsonl"))
    for file in files:
        assert file.read_bytes() == (project_root / "recipes" / "data" / file.relative_to(tmp_path)).read_bytes()
    assert len(files) == 4


def test_specialists_share_nothing_and_leave_nothing_out(project_root: Path) -> None:
    """Together they are smoke-instruct."""
    data = project_root / "recipes" / "data"
    a, b, whole = (
        [json.loads(line)["instruction"] for line in (data / f"{name}.jsonl").read_text().splitlines()]
        for name in ("smoke-specialist-a", "smoke-specialist-b", "smoke-instruct")
    )
    assert not set(a) & set(b)
    assert sorted(a + b) == sorted(whole)


def test_every_local_dataset_has_its_size_and_digest(catalogue: Catalogue, project_root: Path) -> None:
    """Those in the repository; and each dataset says what it is for and who may use it."""
    for entry in catalogue.datasets.values():
        place = Path(getattr(entry.sources[0], "path", ""))
        if place.is_file() and place.is_relative_to(project_root):
            assert entry.files[place.name].bytes == place.stat().st_size
        if entry.contract is not None:
            assert (project_root / "contracts" / f"{entry.contract}.yaml").is_file()
