"""Whole ways to a result: a program that answers alone, a recipe that runs by itself, another backend."""

from __future__ import annotations

import ast

import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.hardware import need_no_vendor_libraries, need_wgpu, wgpu_used
from apr_leaderboard.criteria.resuming import resumed_digests
from apr_leaderboard.criteria.running import answer_alone, stages_done
from apr_leaderboard.criteria.working import compiled
from apr_leaderboard.model.generation import DecodeParams, Message, Prompt
from apr_leaderboard.model.stage import StageName
from apr_leaderboard.proof import NotHere
from apr_leaderboard.proof.lab import Made

_RECIPE_C, _RECIPE_D = "recipe-c-full-pipeline", "recipe-d-sovereign-binary"
_PROMPTS = (
    "Complete the following Python function.\n\n```python\ndef total(first, second):\n```",
    "Complete the following Python function.\n\n```python\ndef double_value(value):\n```",
)


@pytest.mark.criterion("AC-010")
@pytest.mark.falsified_by("program-is-mute")
def test_the_compiled_program_answers_alone_in_an_empty_folder(trial: Trial) -> None:
    """With nothing of ours in its environment."""
    answer, size = answer_alone(compiled(trial, talkative(trial)), _PROMPTS[0])
    trial.tell("bytes of the program", size)
    trial.tell("its answer", answer[:80])
    trial.measure("characters answered", len(answer), "at least 1", len(answer) > 0)


@pytest.mark.criterion("AC-010")
@pytest.mark.falsified_by("program-says-one-thing")
def test_the_compiled_program_answers_prompts_apart_as_the_model_does(trial: Trial) -> None:
    """Two prompts to which the model itself gives two answers."""
    model = talkative(trial)
    program = compiled(trial, model)
    asked = [
        Prompt(task_id=f"alone/{number}", messages=(Message(role="user", content=text),))
        for number, text in enumerate(_PROMPTS)
    ]
    own = [one.text for one in trial.ask(model, asked, DecodeParams(max_tokens=16))]
    if len(set(own)) < len(own):
        raise NotHere(f"needs a model that answers {len(own)} prompts in as many ways")
    said = [answer_alone(program, text)[0] for text in _PROMPTS]
    for name, texts in (("the model", own), ("the program", said)):
        trial.tell(f"answers by {name}", " | ".join(ascii(text[:60]) for text in texts))
    trial.measure("different answers of the program", len(set(said)), str(len(own)), len(set(said)) == len(own))


@pytest.mark.criterion("AC-011")
@pytest.mark.falsified_by("a-stage-is-left-out")
def test_recipe_c_runs_end_to_end_without_input(trial: Trial) -> None:
    """Every stage, in order; the standard input of every engine is closed."""
    wanted = [stage.name.value for stage in trial.plan(_RECIPE_C).stages]
    done = trial.given(stages_done(trial, _RECIPE_C))
    trial.measure("stages done", ", ".join(done), f"all of {', '.join(wanted)}", done == wanted)


@pytest.mark.criterion("AC-011")
@pytest.mark.falsified_by("resumed-run-differs")
def test_recipe_c_interrupted_and_resumed_leaves_the_same(trial: Trial) -> None:
    """Broken off in the middle of pruning, in a store where pruning was never done, and gone on with."""
    whole, resumed = resumed_digests(trial, _RECIPE_C, StageName.PRUNE)
    resumed = trial.given(resumed)
    trial.measure("stages with the same digest", sum(resumed.get(k) == v for k, v in whole.items()),
                  f"all of {len(whole)}", resumed == whole)  # fmt: skip


@pytest.mark.criterion("AC-026")
@pytest.mark.falsified_by("program-writes-prose")
def test_the_compiled_model_is_small_and_writes_valid_python(trial: Trial) -> None:
    """Under 1 GB, and its answer is the function that was asked for."""
    answer, size = answer_alone(compiled(trial, trial.model()), "Write a function that adds two numbers.", 128)
    trial.measure("bytes of the program", size, "below 1e9", size < 1e9)
    trial.tell("its answer", answer[:80])
    defined = functions_in(answer)
    trial.measure("functions defined in its answer", len(defined), "at least 1", bool(defined))


@pytest.mark.criterion("AC-028")
@pytest.mark.falsified_by("wgpu-is-the-cpu")
def test_training_and_inference_work_without_the_vendors_toolkit(trial: Trial) -> None:
    """Recipe G, where the vendor's libraries are nowhere to be found, or by processes that show they loaded none."""
    found = need_wgpu(trial)
    need_no_vendor_libraries(trial, found)
    done = stages_done(trial, "recipe-g-wgpu-proof")
    trial.measure("stages done", ", ".join(done), "finetune and eval among them", {"finetune", "eval"} <= set(done))
    used = trial.given(wgpu_used(trial, found))
    trial.measure("backend that was used", used.backend, "not the CPU", not used.backend.endswith("cpu"))
    trial.measure("jobs that gave it up for the CPU", used.given_up, "0", used.given_up == 0)
    trial.measure("jobs without a dispatch on it", ", ".join(used.idle) or "none", "none", not used.idle)
    if used.libraries is not None:
        trial.measure("vendor's libraries they loaded", ", ".join(used.libraries) or "none", "none", not used.libraries)


def functions_in(answer: str) -> list[str]:
    """The names of the functions that an answer's first block of code defines; of the whole answer without a block.

    None where that is no Python.
    """
    code = answer.partition("```python")[2].partition("```")[0] or answer
    try:
        return [node.name for node in ast.walk(ast.parse(code)) if isinstance(node, ast.FunctionDef)]
    except (SyntaxError, ValueError):
        return []


def talkative(trial: Trial) -> Made:
    """The model asked; in the profile smoke the finetuned one, since the pretrained one ends its turn at once."""
    return trial.imported(trial.source("smoke-teacher")) if trial.profile == "smoke" else trial.model()
