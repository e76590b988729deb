"""The project's own checks do not pass on nothing, nor on what they never looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from rooted import Rooted, check_of, made_at

from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.contract import load_contract
from apr_leaderboard.proof import Lab, NotHere, Refuted
from apr_leaderboard.proof.checks import decontamination, pipeline_validation
from apr_leaderboard.proof.checks.fused_cross_entropy import CHECKS as FUSED
from apr_leaderboard.proof.kernels import cross_entropy
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.measuring import bytes_of


def test_misspelling_check_of_stages_asks_all_twelve_for_the_name_itself() -> None:
    """A model that overlooks unknown names and is refused for a missing one is no strict model."""
    check = check_of("pipeline-validation", "FALSIFY-PIPE-003")
    assert len(pipeline_validation._MODELS) == 12
    assert check.run(Rooted(Path())) == "722 misspellings of the parameters of 12 stages"

    def overlooks(model: Any, values: dict[str, Any]) -> Any:
        return model(**values) if "dataset" not in model.model_fields else model()

    with pytest.raises(Refuted, match="takes "):
        replace(check, subject=overlooks).run(Rooted(Path()))


def test_density_check_of_a_trim_that_always_keeps_one_entry_is_red() -> None:
    """One is the least that may be left, not a pass for every density."""

    def keeps_one(task: Any, density: float) -> Any:
        return np.where(np.arange(task.size) == 0, task, 0)

    with pytest.raises(Refuted, match=r"1 of 2 kept at density 1\.0"):
        replace(check_of("ties-sign-resolution", "FALSIFY-TIES-003"), subject=keeps_one).run(Rooted(Path()))


def test_merged_model_that_its_engine_finds_broken_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer alone is half of what is claimed."""
    from apr_leaderboard.proof.checks import ties_sign_resolution as module

    def fails(made: Made, lab: Lab, change: object) -> str:
        raise Refuted("7 of 8 stages of the engine's own check pass")

    monkeypatch.setattr(module, "check_passes", fails)
    monkeypatch.setattr(module, "answer_of", lambda checkpoint, lab: "4 tokens")
    monkeypatch.setattr(module, "copied", lambda made, lab, change: made.checkpoint)
    monkeypatch.setattr(Lab, "model", lambda self, seed=1: made_at(Path("model")))
    monkeypatch.setattr(Lab, "make", lambda self, *job: made_at(Path("merged")))
    with pytest.raises(Refuted, match="7 of 8 stages"):
        check_of("ties-sign-resolution", "FALSIFY-TIES-005").run(Rooted(Path()))


def test_vocabulary_of_a_model_that_shows_none_is_not_preserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing equals nothing, and shows nothing."""
    from apr_leaderboard.proof.checks import tokenizer_preservation as module

    monkeypatch.setattr(module, "_vocabulary", lambda made: [])
    monkeypatch.setattr(module, "merged", lambda lab: made_at(Path("merged")))
    monkeypatch.setattr(Lab, "model", lambda self, seed=1: made_at(Path("model")))
    with pytest.raises(NotHere, match="shows its vocabulary: what apr starts from shows none"):
        check_of("tokenizer-preservation", "FALSIFY-TOK-001").run(Rooted(Path(), "apr"))


@pytest.mark.parametrize(
    "row", [{"instruction": "Add two numbers."}, {"response": "def add(a, b): ..."}, {"text": "x"}]
)
def test_sample_without_an_instruction_or_a_response_is_not_whole(row: dict[str, str], tmp_path: Path) -> None:
    """It is no sample to pass over."""
    data = tmp_path / "recipes" / "data"
    data.mkdir(parents=True)
    whole = {"instruction": "Add two numbers.", "response": "def add(a, b):\n    return a + b"}
    pair = {"prompt": "p", "chosen": "c", "rejected": "r"}
    for name, rows in (("a.jsonl", [whole, row]), ("pairs.jsonl", [pair])):
        (data / name).write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    with pytest.raises(Refuted, match="1 samples, the first is 1"):
        check_of("data-quality", "FALSIFY-DQLTY-003").run(Rooted(tmp_path))


def test_training_data_of_preferences_alone_is_a_wrong_request(tmp_path: Path) -> None:
    """No sample is no mean."""
    data = tmp_path / "recipes" / "data"
    data.mkdir(parents=True)
    (data / "pairs.jsonl").write_text('{"prompt": "p", "chosen": "c", "rejected": "r"}\n', encoding="utf-8")
    with pytest.raises(RequestError, match="no instruction and response"):
        check_of("data-quality", "FALSIFY-DQLTY-001").run(Rooted(tmp_path))


def test_merged_model_that_lost_a_tensor_is_not_the_base_plus_the_adapter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there differs from nothing."""
    from apr_leaderboard.proof.checks import lora_finetune_eval as module

    base = {"q.weight": np.zeros((2, 2), np.float32), "norm.weight": np.ones(2, np.float32)}
    a, b = np.ones((1, 2), np.float32), np.ones((2, 1), np.float32)
    adapter = {"base_model.model.q.lora_A.weight": a, "base_model.model.q.lora_B.weight": b}
    left: dict[str, Any] = {"q.weight": 2 * b @ a, "norm.weight": base["norm.weight"]}
    tensors = {"model": base, "tuned": left}
    monkeypatch.setattr(module, "finetuned", lambda lab: made_at(tmp_path / "tuned"))
    monkeypatch.setattr(module, "adapter_of", lambda made: (adapter, 2.0))
    monkeypatch.setattr(module, "read_tensors", lambda checkpoint: tensors[checkpoint.path.name])
    monkeypatch.setattr(Lab, "model", lambda self, seed=1: made_at(tmp_path / "model"))
    check = check_of("lora-finetune-eval", "FALSIFY-EVAL-002")
    assert check.run(Rooted(tmp_path)).startswith("reference: 2 tensors, 1 of them moved")
    del left["norm.weight"]
    with pytest.raises(Refuted, match=r"1 tensors for 2: norm\.weight in one of both alone"):
        check.run(Rooted(tmp_path))


@pytest.mark.parametrize(("digests", "told"), [(("ab", "cd"), True), (("ab", "ab"), False), (("ab",), False)])
def test_lineage_of_two_models_has_two_digests(
    digests: tuple[str, ...], told: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for both says nothing of either."""
    from apr_leaderboard.proof.checks import data_governance as module

    inputs = {f"model{number}": digest for number, digest in enumerate(digests)}
    row = {"op": "merge", "params": {"strategy": "slerp"}, "inputs": inputs}
    (tmp_path / "lineage.json").write_text(json.dumps([row]), encoding="utf-8")
    monkeypatch.setattr(module, "merged", lambda lab: made_at(tmp_path))
    check = check_of("data-governance", "FALSIFY-GOV-003")
    if told:
        assert check.run(Rooted(tmp_path)) == "reference: 1 jobs, 2 inputs by digest"
        return
    with pytest.raises(Refuted, match="each of the two models has a digest of its own"):
        check.run(Rooted(tmp_path))


def test_orphans_of_a_project_without_contracts_are_not_none(tmp_path: Path) -> None:
    """There is nothing to be left over from."""
    (tmp_path / "contracts").mkdir()
    with pytest.raises(Refuted, match="no contract has a binding"):
        check_of("binding-coverage", "FALSIFY-BIND-003").run(Rooted(tmp_path))


@pytest.mark.parametrize(
    ("contract", "id_"),
    [
        ("hf-parity", "FALSIFY-PARITY-003"),
        ("hf-parity", "FALSIFY-PARITY-004"),
        ("qlora-training-loop", "FALSIFY-QT-003"),
    ],
)
def test_check_inside_the_reference_engine_says_nothing_of_another(contract: str, id_: str, tmp_path: Path) -> None:
    """Its own functions are what is looked at: of a program that shows none of it nothing is known."""
    with pytest.raises(NotHere, match=r"needs .*apr does not"):
        check_of(contract, id_).run(Rooted(tmp_path, "apr"))


def test_size_of_a_checkpoint_is_that_of_all_its_files_and_never_nothing(tmp_path: Path) -> None:
    """A folder's own size would be under any bound, and so would that of an empty file."""
    folder = tmp_path / "model"
    (folder / "deeper").mkdir(parents=True)
    (folder / "deeper" / "weights").write_bytes(bytes(9000))
    assert bytes_of(made_at(folder)) == 9000
    (tmp_path / "empty").touch()
    with pytest.raises(Refuted, match="empty is empty"):
        bytes_of(made_at(tmp_path / "empty"))


def test_program_smaller_than_its_values_shows_no_runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is packed, or left out, is not a small program."""
    from apr_leaderboard.proof.checks import compile_binary as module

    (tmp_path / "program").write_bytes(bytes(399))
    monkeypatch.setattr(module, "staged", lambda lab, name, *stages: None)
    monkeypatch.setattr(module, "program_of", lambda made: tmp_path / "program")
    monkeypatch.setattr(module, "read_tensors", lambda checkpoint: {"w": np.zeros(100, np.float32)})
    monkeypatch.setattr(Lab, "named", lambda self, name: made_at(tmp_path / "program"))
    check = check_of("compile-binary", "FALSIFY-COMPILE-001")
    with pytest.raises(NotHere, match="100 values in four bytes each"):
        check.run(Rooted(tmp_path))
    (tmp_path / "program").write_bytes(bytes(500))
    assert check.run(Rooted(tmp_path)) == "reference: 100 bytes beyond its 100 values"


def test_decontamination_asks_all_problems_whatever_the_users_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few clean problems say nothing of the others."""
    asked: list[tuple[Any, ...]] = []

    class Maker:
        def __init__(self, *settings: Any) -> None:
            asked.append(settings)

        def problems(self, name: str) -> list[Any]:
            return [SimpleNamespace(task_id=f"{name}/{i}", prompt="p") for i in range(3)]

    monkeypatch.setattr(decontamination, "EvaluationMaker", Maker)
    workbench = SimpleNamespace(root=Path("root"), sources="sources", settings=SimpleNamespace(limit=1))
    found = decontamination._benchmarks(Lab(lambda: cast(Any, workbench)))
    assert [len(problems) for problems in found.values()] == [3, 3]
    assert asked == [(Path("root"), "sources")]


def test_forgotten_label_is_what_that_saboteur_forgets() -> None:
    """The gradient without the label's own term is softmax, which sums to 1."""
    broken: Callable[..., Any] = next(check for check in FUSED if check.id == "FALSIFY-FCE-007").saboteur
    logits, labels = np.random.default_rng(0).standard_normal((2, 5)), np.array([1, 4])
    sound = cross_entropy.gradient(logits, labels, 2)
    assert np.allclose(broken(logits, labels, 2).sum(axis=1), 1)
    assert np.count_nonzero(broken(logits, labels, 2) - sound) == 2


def test_bounds_of_exhausted_domains_are_as_large_as_told(project_root: Path) -> None:
    """What a harness says it covers is what its check goes through."""
    gate = load_contract(project_root / "contracts" / "leaderboard-gate.yaml").value
    asked = 0

    def count(humaneval: float | None, mbpp: float | None) -> str:
        nonlocal asked
        asked += 1
        return cast(str, check.subject(humaneval, mbpp))

    check = check_of("leaderboard-gate", "FALSIFY-GATE-003")
    replace(check, subject=count).run(Rooted(project_root))
    assert gate.kani_harnesses[0].bound == asked == 42994
    stages = load_contract(project_root / "contracts" / "pipeline-validation.yaml").value
    assert stages.kani_harnesses[0].bound == 722
