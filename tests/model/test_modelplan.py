"""The seven model files, and what such a file may not hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from apr_leaderboard.bench import BUILT_IN
from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.model.catalogue import load_catalogue
from apr_leaderboard.model.modelplan import ModelPlan, load_model_plans

PLANS = {
    "deepseek-r1-distill-qwen-7b": "dpo rank 16, wanda 0.15, int4",
    "phi-4": "lora rank 32, int8",
    "qwen2.5-coder-1.5b": "qlora rank 16, magnitude 0.4, int4, compile",
    "qwen2.5-coder-32b": "eval only",
    "qwen2.5-coder-7b": "lora rank 16",
    "qwen3-4b": "eval only",
    "qwen3-8b": "qlora rank 16",
}
"""What the field means to do with each."""

GOOD = "schema: 1\nmodel: m\nfamily: f\nleaderboard: bigcode\nquantization: fp16\ngoal: g\nbenchmarks: [humaneval]\n"


@pytest.fixture(scope="module")
def plans(project_root: Path) -> dict[str, ModelPlan]:
    """The project's own."""
    return load_model_plans(
        project_root / "recipes" / "models", load_catalogue(project_root / "recipes" / "catalogue.yaml").models
    )


def test_seven_models_are_planned_as_the_field_has_them(plans: dict[str, ModelPlan]) -> None:
    """Method, rank, ratio and scheme of each."""
    assert {name: plan.words for name, plan in plans.items()} == PLANS


def test_planned_benchmarks_and_datasets_are_known(plans: dict[str, ModelPlan], project_root: Path) -> None:
    """A name that stands for nothing would only be found on the day it is needed."""
    known = {benchmark.name for benchmark in BUILT_IN}
    datasets = load_catalogue(project_root / "recipes" / "catalogue.yaml").datasets
    for plan in plans.values():
        assert known >= set(plan.benchmarks)
        used = {stage.dataset for stage in (plan.finetune, plan.align) if stage is not None}
        assert used <= set(datasets)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("m.yaml", GOOD.replace("model: m", "model: x"), "model: got 'x'; allowed: a model of the catalogue: m"),
        ("n.yaml", GOOD, "model: got 'm'; allowed: 'n', as the file is called"),
        ("m.yaml", GOOD + "prune: {method: wandah}\n", "prune.method: got 'wandah'"),
        ("m.yaml", GOOD + "distil: {}\n", "unknown key 'distil'"),
    ],
    ids=["no model of the catalogue", "another name", "wrong parameter", "no stage"],
)
def test_wrong_plan_is_told_with_its_place(tmp_path: Path, name: str, text: str, told: str) -> None:
    """File, line, what was got, what is allowed."""
    (tmp_path / name).write_text(text)
    with pytest.raises(FileFormatError) as caught:
        load_model_plans(tmp_path, ["m"])
    assert told in str(caught.value)
    assert f"{name}:" in str(caught.value)
