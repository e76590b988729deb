"""Compile, on the smoke model's teacher: a small program around it, which answers alone, and holds that very model."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof.alone import alone, answer_alone, contents, program_of
from apr_leaderboard.proof.answering import keep, lose_half
from apr_leaderboard.proof.asking import MAX_TOKENS, exchanges
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.nothere import NotHere
from apr_leaderboard.proof.trained import COMPILE, TEACHER, staged
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["CHECKS"]

_MEGABYTE: Final = 1 << 20
_ASKED: Final = 2
_FIELDS: Final = {
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "context_length": "max_position_embeddings",
    "tie_embeddings": "tie_word_embeddings",
}
"""What the program calls them, and the model's config.json."""

Change = Callable[[Path], None]


def program_is_small(change: Change, lab: Lab) -> str:
    """The program takes less than a megabyte beyond the values of the model in it, four bytes each."""
    program = alone(program_of(staged(lab, TEACHER, COMPILE)), lab)
    change(program)
    values = sum(tensor.size for tensor in read_tensors(lab.named(TEACHER).checkpoint).values())
    beyond = program.stat().st_size - 4 * values
    if beyond <= 0:
        raise NotHere(f"needs a program that holds its {values} values in four bytes each: what it adds is not seen")
    expect(beyond < _MEGABYTE, f"{beyond} bytes beyond its {values} values")
    return f"{lab.engine.name}: {beyond} bytes beyond its {values} values"


def program_answers(change: Change, lab: Lab) -> str:
    """Alone in an empty folder, it gives the engine's own greedy answers to problems of the smoke suite."""
    program = alone(program_of(staged(lab, TEACHER, COMPILE)), lab)
    asked = exchanges(lab, lab.named(TEACHER), _ASKED)
    change(program)
    for prompt, own in asked:
        said = answer_alone(program, prompt, MAX_TOKENS)
        expect(said.strip(), "the program says nothing")
        expect(said == own, f"the program says {said!r}, the engine {own!r}")
    return f"{lab.engine.name}: {len(asked)} answers, each the engine's own"


def program_is_the_model(change: Change, lab: Lab) -> str:
    """Layers, heads and the rest as in config.json, and every tensor, so every width, as in the checkpoint."""
    program = alone(program_of(staged(lab, TEACHER, COMPILE)), lab)
    change(program)
    model = lab.named(TEACHER).checkpoint
    if model is None:
        raise HarnessError("the model has no checkpoint")
    shape, weights = contents(program)
    config = json.loads((model.path / "config.json").read_text(encoding="utf-8"))
    for name, called in _FIELDS.items():
        expect(shape[name] == config[called], f"{name}: {shape[name]} in the program, {config[called]} in the model")
    want = read_tensors(model)
    expect(weights.keys() == want.keys(), f"{len(weights)} tensors in the program, {len(want)} in the model")
    for name, values in want.items():
        expect(np.array_equal(weights[name], values), f"{name} is another tensor in the program")
    return f"{lab.engine.name}: {len(_FIELDS)} fields and {len(want)} tensors"


def _grow(program: Path) -> None:
    """What a runtime of a megabyte adds."""
    with program.open("ab") as stream:
        stream.write(bytes(_MEGABYTE))


def _lose_a_layer(program: Path) -> None:
    """The same archive without the model's last layer."""
    with zipfile.ZipFile(program) as archive:
        members: dict[str, Any] = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members["model.json"])
    about["shape"]["n_layers"] -= 1
    members["model.json"] = json.dumps(about).encode()
    with zipfile.ZipFile(program, "w") as archive:
        for name, data in members.items():
            if f".layers.{about['shape']['n_layers']}." not in name:
                archive.writestr(name, data)


CHECKS: Final = (
    measured("FALSIFY-COMPILE-001", program_is_small, keep, _grow),
    measured("FALSIFY-COMPILE-002", program_answers, keep, lose_half),
    measured("FALSIFY-COMPILE-003", program_is_the_model, keep, _lose_a_layer),
)
