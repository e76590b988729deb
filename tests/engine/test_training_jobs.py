"""The training jobs from flags to files, on a tiny model: what each leaves, twice the same, and what each refuses."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from training_tiny import PAIRS, make_trainable, write_pairs

from apr_leaderboard.engine.reference.cli import op_parser
from apr_leaderboard.engine.reference.forward import forward
from apr_leaderboard.engine.reference.lora import bind
from apr_leaderboard.engine.reference.nf4 import nf4_of
from apr_leaderboard.engine.reference.ops import OpResult, Reporter, load_op
from apr_leaderboard.engine.reference.verify_training import verify_training
from apr_leaderboard.engine.reference.weights import load_hf
from apr_leaderboard.errors import EngineOutputError, FileFormatError, RequestError

# Each trains for seconds to minutes; gradients and losses are held by quick tests beside.
pytestmark = pytest.mark.slow

_FEW = PAIRS[:8]
_PREFERENCES = [
    {"prompt": pair["instruction"], "chosen": pair["response"], "rejected": pair["response"].replace("=", "is")}
    for pair in _FEW
]
_METHODS: dict[str, tuple[str, ...]] = {
    "qlora": ("finetune", "--method", "qlora", "--rank", "2"),
    "full": ("finetune", "--method", "full"),
    "distill": ("distill", "--teacher", "{other}"),
    "ensemble": ("distill", "--teacher", "{other}", "--teacher", "{base}", "--strategy", "ensemble"),
    "dpo": ("align", "--method", "dpo", "--rank", "2"),
    "orpo": ("align", "--method", "orpo", "--rank", "2"),
}
Run = Callable[..., OpResult]


class _Site:
    """A folder with a base model, another of its kind, and data; `run` does a job by its flags."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.base = make_trainable(root / "base", n_layers=1)
        self.other = make_trainable(root / "other", seed=1, n_layers=1)
        self.pairs = write_pairs(root / "pairs.jsonl", _FEW)
        self.preferences = write_pairs(root / "preferences.jsonl", _PREFERENCES)

    def run(self, name: str, op: str, *words: str, report: Reporter | None = None) -> OpResult:
        """Write below `name`; two epochs of eight rows in batches of four at 0.01, unless `words` say otherwise."""
        data = self.preferences if op == "align" else self.pairs
        told = [word.format(base=self.base, other=self.other) for word in words]
        common = ["--epochs", "2", "--batch-size", "4", "--learning-rate", "0.01"]
        module = load_op(op)
        out = self.root / name
        out.mkdir()
        flags = ["--model", str(self.base), "--data", str(data), *common, *told, "-o", str(out)]
        return module.run(op_parser(op, module).parse_args(flags), report or Reporter(io.StringIO()))

    def losses(self, name: str) -> list[dict[str, float]]:
        """The rows of losses.jsonl."""
        return [json.loads(line) for line in (self.root / name / "losses.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> _Site:
    """One for all tests here; each writes below names of its own."""
    return _Site(tmp_path_factory.mktemp("training"))


_SLOW = ("ensemble", "orpo")


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow) if name in _SLOW else name for name in _METHODS],
)
def trained(request: pytest.FixtureRequest, site: _Site) -> tuple[str, OpResult]:
    """Each kind of training done once."""
    return request.param, site.run(request.param, *_METHODS[request.param])


def test_training_lowers_its_loss_and_writes_every_step(site: _Site, trained: tuple[str, OpResult]) -> None:
    """Four steps with their figures in losses.jsonl; the record has the first and the last, and the bytes held."""
    name, result = trained
    rows = site.losses(name)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert [row["epoch"] for row in rows] == [1, 1, 2, 2]
    assert {"loss", "learning_rate", "gradient_norm"} <= set(rows[0])
    assert rows[-1]["loss"] < rows[0]["loss"]
    figures = result.figures
    assert (figures["first_loss"], figures["last_loss"]) == (rows[0]["loss"], rows[-1]["loss"])
    assert 0 < int(figures["trainable_bytes"]) <= int(figures["weights_bytes"])
    assert int(figures["optimizer_bytes"]) >= 2 * int(figures["trainable_bytes"])


def test_training_leaves_a_model_that_differs_and_opens(site: _Site, trained: tuple[str, OpResult]) -> None:
    """Verified as the engine does; lineage ends with the stage; an adapter where one was trained."""
    name, _ = trained
    verify_training(site.base, site.root / name / "model", "reference", ())
    stage = json.loads((site.root / name / "model/lineage.json").read_text())["stages"][-1]
    assert stage["op"] == _METHODS[name][0]
    assert (site.root / name / "adapter").exists() == (name in ("qlora", "dpo", "orpo"))
    assert load_hf(site.root / name / "model")[0] == load_hf(site.base)[0]


@pytest.mark.parametrize(
    "name", ["qlora", *(pytest.param(name, marks=pytest.mark.slow) for name in _METHODS if name != "qlora")]
)
def test_training_twice_gives_the_same_bytes(site: _Site, name: str) -> None:
    """Every file of two runs is equal."""
    folders = [f"{name}-{number}" for number in (1, 2)]
    for folder in folders:
        site.run(folder, *_METHODS[name])
    one, two = (site.root / folder for folder in folders)
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    assert len(files) > 5
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def test_own_figures_of_each_training_stand_in_the_log(site: _Site) -> None:
    """Distillation: both terms and their sum; preferences: rewards, their margin, and log 2 at the start of DPO."""
    site.run("log-kd", "distill", "--teacher", "{other}", "--alpha", "0.7", "--strategy", "progressive")
    rows = site.losses("log-kd")
    for row in rows:
        assert row["loss"] == pytest.approx(row["alpha"] * row["kd_loss"] + (1 - row["alpha"]) * row["ce_loss"])
    assert (rows[0]["alpha"], rows[-1]["alpha"], rows[-1]["temperature"]) == (pytest.approx(0.7), 0.0, 1.0)
    site.run("log-dpo", "align", "--method", "dpo")
    rows = site.losses("log-dpo")
    for row in rows:
        assert row["margin"] == pytest.approx(row["chosen_reward"] - row["rejected_reward"], abs=1e-5)
    assert rows[0]["loss"] == pytest.approx(np.log(2), abs=1e-4)
    assert rows[0]["margin"] == pytest.approx(0, abs=1e-4)
    assert rows[-1]["margin"] > 0.05


def test_progress_of_a_training_carries_its_figures(site: _Site) -> None:
    """What the log has, speed and memory; and neither of the last two is in a file."""
    stream = io.StringIO()
    site.run("told", "align", "--method", "orpo", "--rank", "2", report=Reporter(stream))
    told = [json.loads(line)["progress"] for line in stream.getvalue().splitlines()]
    steps = [line for line in told if line["what"] == "align"]
    assert [line["done"] for line in steps] == [1, 2, 3, 4]
    figures = steps[-1]["figures"]
    logged = site.losses("told")[-1]
    assert {name: figures[name] for name in set(logged) - {"step"}} == {k: v for k, v in logged.items() if k != "step"}
    assert figures["tokens_per_second"] > 0
    assert figures["peak_rss_bytes"] > 1e7
    assert not {"tokens_per_second", "peak_rss_bytes"} & set(logged)


def test_qlora_merges_into_the_weights_it_trained_beside(site: _Site) -> None:
    """The merged model gives what the adapter beside NF4 gave, not what it would give beside the original weights."""
    site.run("merged", "finetune", "--method", "qlora", "--rank", "2", "--alpha", "4")
    config, held = load_hf(site.base, hold=nf4_of)
    tensors = load_file(site.root / "merged/adapter/adapter_model.safetensors")
    adapter: list[Any] = [{}]
    for name, array in tensors.items():
        target, side = name.split(".")[-3], name.split(".")[-2][-1].lower()
        adapter[0].setdefault(target, {})[side] = array
    tokens = np.asarray([[5, 9, 300, 7, 9, 41, 2, 5]], np.int32)
    logits = jax.jit(partial(forward, config))
    wanted = np.asarray(logits(bind(held, adapter, 2.0), tokens))
    found = np.asarray(logits(load_hf(site.root / "merged/model")[1], tokens))
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    beside_original = np.asarray(logits(bind(load_hf(site.base)[1], adapter, 2.0), tokens))
    assert np.abs(beside_original - wanted).max() > 1e-2


def test_qlora_holds_its_weights_in_a_quarter_and_trains_as_many(site: _Site) -> None:
    """The maps shrink to 0.516 bytes a weight (from 4); the embedding and the adapter stay."""
    plain = site.run("plain", "finetune", "--rank", "2").figures
    held = site.run("held", "finetune", "--rank", "2", "--method", "qlora").figures
    config, _ = load_hf(site.base)
    maps = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 32 * 48
    assert held["trainable_bytes"] == plain["trainable_bytes"]
    saved = int(plain["weights_bytes"]) - int(held["weights_bytes"])
    assert config.n_layers * maps * 3.4 < saved < config.n_layers * maps * 3.49


def test_full_finetuning_moves_every_tensor(site: _Site) -> None:
    """Embedding, norms, biases and maps."""
    site.run("every", "finetune", "--method", "full")
    before, after = (load_file(path / "model.safetensors") for path in (site.base, site.root / "every/model"))
    assert set(before) == set(after)
    assert [name for name in before if np.array_equal(before[name], after[name])] == []


def test_loss_on_the_whole_text_counts_the_instruction_too(site: _Site) -> None:
    """More tokens count, and the loss is another."""
    whole = site.run("whole", "finetune", "--rank", "2", "--no-response-only").figures
    answers = site.run("answers", "finetune", "--rank", "2").figures
    assert int(whole["n_counted_tokens"]) > int(answers["n_counted_tokens"])
    assert whole["first_loss"] != answers["first_loss"]


def test_teacher_of_another_vocabulary_is_refused_in_logits_mode(site: _Site) -> None:
    """One line: whose, how far apart, what is accepted."""
    folder = make_trainable(site.root / "foreign", n_layers=1)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text(encoding="utf-8").replace("<|im_start|>", "<|begin|>"), encoding="utf-8")
    with pytest.raises(RequestError, match=r"vocabulary is not the student's.*2 entries differ; accepted:.*mode text"):
        site.run("foreign-out", "distill", "--teacher", str(folder))


@pytest.mark.slow
def test_text_mode_trains_on_the_teachers_answers(site: _Site) -> None:
    """A teacher that says one thing: the student's rows are its answers, and its own figures have no kd_loss."""
    site.run("master", "finetune", "--method", "full", "--epochs", "40", "--learning-rate", "0.02")
    told = site.run(
        "pupil", "distill", "--mode", "text", "--max-tokens", "24", "--teacher", str(site.root / "master/model")
    )
    rows = site.losses("pupil")
    assert "kd_loss" not in rows[0]
    assert rows[0]["ce_loss"] == rows[0]["loss"]
    assert 0 < int(told.figures["n_pairs"]) <= len(_FEW)
    assert rows[-1]["loss"] < rows[0]["loss"]


def test_text_mode_without_an_answer_that_ends_is_refused(site: _Site) -> None:
    """A teacher that never ends its answers teaches nothing: max_tokens is too small, or it is no teacher."""
    with pytest.raises(RequestError, match="no answer of 1 teacher ended: got max_tokens 1"):
        site.run("silent", "distill", "--mode", "text", "--max-tokens", "1", "--teacher", "{other}")


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("finetune", "--method", "full", "--rank", "4"), "rank goes with lora or qlora, not full"),
        (("finetune", "--method", "half"), "--method: got 'half'"),
        (("distill", "--teacher", "{other}", "--strategy", "ensemble"), "more_teachers goes with ensemble"),
        (("distill", "--teacher", "{other}", "--mode", "text", "--alpha", "0.3"), "alpha goes with logits"),
        (("distill", "--teacher", "{other}", "--mode", "text", "--strategy", "progressive"), "progressive goes with"),
        (("align", "--method", "ppo"), "--method: got 'ppo'"),
        (("align", "--method", "dpo", "--beta", "0"), "--beta: got 0"),
    ],
    ids=["rank", "method", "ensemble", "text-alpha", "text-progressive", "ppo", "beta"],
)
def test_flags_that_mean_nothing_are_refused(site: _Site, words: tuple[str, ...], match: str) -> None:
    """As in a recipe, naming the flag."""
    with pytest.raises(RequestError, match=match):
        site.run("-".join(words).replace("/", "").replace("{other}", "o"), *words)


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ({"prompt": "a", "chosen": "b"}, "rejected.*got None"),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "chosen and rejected alike"),
    ],
    ids=["missing", "alike"],
)
def test_broken_preferences_name_the_line(site: _Site, tmp_path: Path, row: dict[str, str], match: str) -> None:
    """One line: file, line, key, what was got, what is allowed."""
    data = write_pairs(tmp_path / "broken.jsonl", [_PREFERENCES[0], row])
    with pytest.raises(FileFormatError, match=rf"broken\.jsonl:2:1.*{match}"):
        site.run(f"broken-{len(row)}", "align", "--method", "dpo", "--data", str(data))


def test_training_that_changed_nothing_is_an_output_error(site: _Site, tmp_path: Path) -> None:
    """The base's own weights, or an adapter of zeros, are no result."""
    with pytest.raises(EngineOutputError, match="training changed nothing"):
        verify_training(site.base, make_trainable(tmp_path / "same", n_layers=1), "reference", ())
    changed = make_trainable(tmp_path / "out/model", seed=1, n_layers=1)
    (tmp_path / "out/adapter").mkdir()
    zeros = {"m.lora_A.weight": np.ones((2, 3), np.float32), "m.lora_B.weight": np.zeros((3, 2), np.float32)}
    save_file(zeros, tmp_path / "out/adapter/adapter_model.safetensors")
    with pytest.raises(EngineOutputError, match="every B matrix is zero"):
        verify_training(site.base, changed, "reference", ())
