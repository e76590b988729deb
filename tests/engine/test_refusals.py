"""What an engine will not do is known before it is started."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apr_leaderboard.engine import (
    AlignJob,
    Checkpoint,
    CompileJob,
    DistillJob,
    ExportJob,
    FinetuneJob,
    GenerateJob,
    Job,
    MergeJob,
    PrepDataJob,
    PruneJob,
    QuantizeJob,
    refusals_of,
)
from apr_leaderboard.engine.apr.refusals import refusals_of_apr
from apr_leaderboard.engine.reference.engine import ReferenceEngine
from apr_leaderboard.engine.reference.refusals import refusals_of_reference
from apr_leaderboard.model.generation import DecodeParams
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.model.stage import (
    AlignParams,
    CompileParams,
    DistillParams,
    FinetuneParams,
    MergeParams,
    PrepDataParams,
    PruneParams,
    QuantizeParams,
)

_APR = Checkpoint(Path("/m/m.apr"), "apr")
_HF = Checkpoint(Path("/m/model"), "hf")
_GGUF = Checkpoint(Path("/m/m.gguf"), "gguf")
_DATA = Path("/d.jsonl")


def _finetune(**params: Any) -> FinetuneJob:
    return FinetuneJob(_APR, _DATA, FinetuneParams(dataset="x", **params))


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (PruneJob(_APR, _DATA, PruneParams(method="wanda")), "refuses: prune --calibration: not yet implemented"),
        (PruneJob(_APR, None, PruneParams(method="depth")), "refuses: prune --method depth: it wants --remove-layers"),
        (QuantizeJob(_APR, QuantizeParams(scheme="q5k")), "refuses: quantize --scheme q5k: Supported: int8, int4"),
        (AlignJob(_APR, _DATA, AlignParams(dataset="x", method="orpo")), "refuses: finetune --method orpo: Unknown"),
        (_finetune(task="instruct"), "refuses: finetune --task instruct: "),
        (_finetune(method="full"), "ignores: finetune method full trains as lora does"),
        (FinetuneJob(_GGUF, _DATA, FinetuneParams(dataset="x")), "refuses: finetune of gguf: "),
        (MergeJob((_APR, _APR), _APR, MergeParams(strategy="ties", weights=(0.9, 0.1))),
         "ignores: merge weights: ignored there for ties"),
        (DistillJob(_APR, (_APR,), _DATA, DistillParams(teacher="t", dataset="x")), "ignores: distill temperature"),
        (PrepDataJob(_DATA, (), PrepDataParams(dataset="x")), "ignores: prep-data decontaminate"),
        (CompileJob(_APR, CompileParams()), "ignores: the prompt"),
        (GenerateJob(_APR, (), DecodeParams(draft_tokens=8)), "ignores: generate draft_tokens"),
    ],
    ids=lambda value: value.split(":")[1].strip() if isinstance(value, str) else "",
)  # fmt: skip
def test_refusals_of_apr_name_the_parameter_and_its_words(job: Job, line: str) -> None:
    """One line for each, of what was seen with 0.72.3."""
    assert [told for told in refusals_of_apr(job) if told.startswith(line)]


@pytest.mark.parametrize(
    "job",
    [QuantizeJob(_APR, QuantizeParams(scheme="int4")), PruneJob(_APR, None, PruneParams()), ExportJob(_APR, "gguf"),
     GenerateJob(_APR, (), DecodeParams()),
     PrepDataJob(_DATA, (), PrepDataParams(dataset="x", steps=("dedup",)))],
    ids=lambda job: job.op,
)  # fmt: skip
def test_refusals_of_apr_are_none_where_it_does_as_asked(job: Job) -> None:
    """No line without a reason."""
    assert refusals_of_apr(job) == ()


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (ExportJob(_APR, "hf"), "refuses: export of m.apr: got format 'apr'; accepted: hf, gguf"),
        (PruneJob(_GGUF, None, PruneParams()), "refuses: prune of m.gguf: got format 'gguf'; accepted: hf"),
        (ExportJob(_GGUF, "gguf"), "refuses: export --format gguf: the model is a GGUF file already"),
        (CompileJob(_HF, CompileParams(strip=True)), "ignores: compile strip: the program is Python, not machine code"),
        (PrepDataJob(_DATA, (), PrepDataParams(dataset="x", steps=("decontaminate",))),
         "refuses: prep-data decontaminate: no benchmark in against"),
        (FinetuneJob(_HF, _DATA, FinetuneParams(dataset="x", vram=8.0)),
         "ignores: finetune vram: for engines with a GPU"),
    ],
    ids=["apr", "gguf", "export", "strip", "against", "vram"],
)  # fmt: skip
def test_refusals_of_reference_name_what_it_takes(job: Job, line: str) -> None:
    """The same form for the embedded engine."""
    assert refusals_of_reference(job) == (line,)


def test_refusals_begin_with_engine_and_version() -> None:
    """A line can be read on its own; what a version says in brackets is left out."""
    engine = ReferenceEngine()
    (line,) = refusals_of(engine, ExportJob(_GGUF, "gguf"))
    assert (
        line == f"reference {engine.identity().version} refuses: export --format gguf: the model is a GGUF file already"
    )


def test_refusals_of_an_engine_without_them_are_none_but_for_missing_operations() -> None:
    """An older engine from a conftest.py goes on working."""
    old: Any = SimpleNamespace(
        identity=lambda: EngineIdentity(name="mine", version="2 (abc)", build="0"),
        capabilities=lambda: frozenset({"export"}),
    )
    assert refusals_of(old, ExportJob(_GGUF, "gguf")) == ()
    assert refusals_of(old, PruneJob(_HF, None, PruneParams())) == ("mine 2 refuses: prune: it has no such operation",)
