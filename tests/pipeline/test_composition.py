"""Recipes that share work, and a recipe killed on its way."""

from __future__ import annotations

import os
import signal
import warnings
from typing import TYPE_CHECKING

import pytest

from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.pipeline import Workbench

if TYPE_CHECKING:
    from tests.pipeline.conftest import Bench

LONG = """\
schema: 1
name: recipe-z-long
title: Every stage that changes weights
stages: [import, distill, finetune, merge, prune, quantize, eval]
profiles:
  smoke:
    model: smoke
    benchmarks: [smoke]
    distill: {teacher: smoke-teacher, dataset: smoke-subset}
    finetune: {dataset: smoke-instruct, rank: 32}
    merge: {strategy: ties, models: [smoke-teacher]}
    prune: {method: magnitude, target_ratio: 0.1}
    quantize: {scheme: int4}
    eval: {max_tokens: 64, min_solved: {smoke: 16}, max_baseline_solved: {smoke: 0}}
"""
JOBS = ["make-smoke", "import", "finetune", "import", "distill", "finetune", "merge", "prune", "quantize"]
"""What that asks an engine for: the teacher is finetuned, too, and imported."""


def _run(workbench: Workbench, name: str) -> dict[str, str]:
    """Every stage of a recipe and the answers to its evaluations; their digests."""
    loaded = load_recipe(workbench.root / "recipes" / f"{name}.yaml")
    plan = workbench.plan(loaded, workbench.engine("reference"))
    digests = {}
    for stage in plan.stages:
        if stage.step is not None:
            digests[stage.name.value] = workbench.runner.run(stage.step).entry.digest
        for evaluation in stage.evaluations:
            evaluation.answers.ensure(workbench.runner)
            digests[evaluation.id] = evaluation.answers.key
    return digests


def test_common_beginning_of_two_recipes_is_computed_once(bench: Bench) -> None:
    """The second differs from the prune on; what comes before is one and the same entry."""
    bench.recipe("recipe-z-long", LONG)
    bench.recipe("recipe-y-long", LONG.replace("target_ratio: 0.1", "target_ratio: 0.2"))
    first, second = _run(bench.workbench(), "recipe-z-long"), _run(bench.workbench(), "recipe-y-long")
    jobs = [call for call in bench.calls if not call.startswith("generate")]
    assert sorted(jobs) == sorted([*JOBS, "prune", "quantize"])
    assert all(first[stage] == second[stage] for stage in ("import", "distill", "finetune", "merge"))


def test_made_model_shares_its_finetuning_with_a_recipe_that_does_the_same(bench: Bench) -> None:
    """The teacher is that recipe's own result, by its key."""
    same = "{method: lora, dataset: smoke-instruct, rank: 16, learning_rate: 3e-3, epochs: 4, max_seq_len: 192}"
    bench.recipe(
        "recipe-z-long",
        "schema: 1\nname: recipe-z-long\ntitle: Short\nstages: [import, finetune, eval]\nprofiles:\n"
        f"  smoke: {{model: smoke, benchmarks: [smoke], finetune: {same}, eval: {{}}}}\n",
    )
    workbench = bench.workbench()
    _run(workbench, "recipe-z-long")
    before = bench.calls
    workbench.sources.model("smoke-teacher", fetch_unknown=True).ensure(workbench.runner)
    assert bench.calls == before


@pytest.mark.parametrize(
    ("old", "new", "again"),
    [
        ("scheme: int4", "scheme: int8", ["quantize", "generate 16"]),
        ("rank: 32", "rank: 8", ["finetune", "merge", "prune", "quantize", "generate 16"]),
        ("min_solved: {smoke: 16}", "min_solved: {smoke: 1}", []),
    ],
    ids=["last", "middle", "threshold"],
)
def test_changed_parameter_recomputes_what_hangs_on_it(bench: Bench, old: str, new: str, again: list[str]) -> None:
    """And nothing else; on a threshold hangs nothing."""
    bench.recipe("recipe-z-long", LONG)
    _run(bench.workbench(), "recipe-z-long")
    before = len(bench.calls)
    bench.recipe("recipe-z-long", LONG.replace(old, new))
    _run(bench.workbench(), "recipe-z-long")
    assert bench.calls[before:] == again


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_recipe_killed_at_every_stage_ends_with_the_same_digests(bench: Bench, moment: str) -> None:
    """SIGKILL as each job begins, half-way through its output, and as it ends; nothing finished is done twice."""
    bench.recipe("recipe-z-long", LONG)
    calm = _run(bench.workbench("calm"), "recipe-z-long")
    (bench.path / "calls").unlink()
    for number in range(len(JOBS)):
        bench.order(f"kill {moment} {1 if number == 0 else 2}")  # finish what was killed, then be killed in the next
        assert _in_a_child(bench, "recipe-z-long") == -signal.SIGKILL
    bench.order()
    assert _run(bench.workbench(), "recipe-z-long") == calm
    jobs = [call for call in bench.calls if not call.startswith("generate")]
    assert sorted(jobs) == sorted(JOBS * 2), "each job is begun twice: once to be killed, once to its end"


def _in_a_child(bench: Bench, recipe: str) -> int:
    """Run in a process of its own; how it ended, as `subprocess` counts."""
    with warnings.catch_warnings():
        # Libraries that other tests in this process have loaded warn of forks; the child has no use for them.
        warnings.simplefilter("ignore")
        child = os.fork()
    if child == 0:
        try:
            _run(bench.workbench(), recipe)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
