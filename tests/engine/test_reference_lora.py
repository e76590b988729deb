"""LoRA: the gradient, the start, the merge, and a finetuning run from end to end on a tiny model."""

from __future__ import annotations

import argparse
import io
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from training_tiny import PAIRS, make_trainable, tiny_config, write_pairs

from apr_leaderboard.engine.reference import jobs_finetune
from apr_leaderboard.engine.reference.forward import forward
from apr_leaderboard.engine.reference.lora import TARGETS, Adapter, bind, init_adapter, write_merged
from apr_leaderboard.engine.reference.losses import masked_loss
from apr_leaderboard.engine.reference.ops import OpResult, Reporter
from apr_leaderboard.engine.reference.smoke_model import initial_params
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.engine.reference.train import warmup_cosine
from apr_leaderboard.engine.reference.weights import load_hf
from apr_leaderboard.errors import EngineError, FileFormatError, RequestError

_logits = jax.jit(forward, static_argnums=0)
_TOKENS = jnp.asarray([[5, 9, 300, 7, 9, 41, 2, 5], [8, 8, 1, 0, 77, 5, 6, 3]], jnp.int32)


def _finetune(folder: Path, data: Path, out: Path, *extra: str) -> OpResult:
    parser = argparse.ArgumentParser()
    jobs_finetune.add_arguments(parser)
    words = ["--model", str(folder), "--data", str(data), "--rank", "4", "--learning-rate", "0.02", *extra]
    args = parser.parse_args(words)
    args.out = out
    out.mkdir()
    return jobs_finetune.run(args, Reporter(io.StringIO()))


def _nudged(adapter: Adapter, seed: int = 1) -> Adapter:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda x: x + jnp.asarray(0.05 * rng.standard_normal(x.shape), x.dtype), adapter)


@pytest.mark.slow
def test_gradient_against_finite_differences_agrees() -> None:
    """In float64, the derivative along random directions matches a central difference within 1e-3 relative."""
    config = tiny_config()
    with jax.enable_x64(True):
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), initial_params(config, 0))
        adapter = _nudged(init_adapter(params, 3, 0))
        assert adapter[0]["q_proj"]["a"].dtype == jnp.float64
        inputs, targets = _TOKENS[:, :-1], _TOKENS[:, 1:]
        mask = jnp.asarray([[0, 0, 1, 1, 1, 0, 1], [0, 1, 1, 1, 0, 0, 1]], jnp.float64)

        @jax.jit
        def loss(tree: Adapter) -> jax.Array:
            return masked_loss(forward(config, bind(params, tree, 2.0), inputs), targets, mask)

        gradient = jax.jit(jax.grad(loss))(adapter)
        rng = np.random.default_rng(5)
        for layer in range(config.n_layers):
            for target in TARGETS:
                for side in ("a", "b"):
                    chosen = rng.standard_normal(adapter[layer][target][side].shape)
                    step = jax.tree.map(jnp.zeros_like, adapter)
                    step[layer][target][side] = jnp.asarray(chosen)
                    ahead, behind = (
                        loss(jax.tree.map(lambda x, d, e=e: x + e * d, adapter, step)) for e in (1e-5, -1e-5)
                    )
                    numeric = float(ahead - behind) / 2e-5
                    exact = float(jnp.vdot(gradient[layer][target][side], chosen))
                    assert numeric == pytest.approx(exact, rel=1e-3, abs=1e-9)


def test_adapter_at_its_start_changes_nothing() -> None:
    """B is zero, so the logits are the base model's."""
    config = tiny_config()
    params = initial_params(config, 0)
    bound = bind(params, init_adapter(params, 4, 0), 2.0)
    np.testing.assert_array_equal(_logits(config, bound, _TOKENS), _logits(config, params, _TOKENS))


def test_merged_model_gives_the_adapters_logits(tmp_path: Path) -> None:
    """Adding B A into the weights and running it beside them agree within 1e-5, and both differ from the base."""
    source = make_trainable(tmp_path / "base")
    config, params = load_hf(source)
    adapter = _nudged(init_adapter(params, 4, 0))
    write_merged(HfFolder(source), tmp_path / "merged", adapter, 1.5)
    _, merged = load_hf(tmp_path / "merged")
    beside = np.asarray(_logits(config, bind(params, adapter, 1.5), _TOKENS))
    np.testing.assert_allclose(_logits(config, merged, _TOKENS), beside, atol=1e-5)
    assert np.abs(beside - np.asarray(_logits(config, params, _TOKENS))).max() > 1e-3


@pytest.mark.slow
def test_finetune_on_pairs_lowers_the_loss_and_leaves_what_it_promises(tmp_path: Path) -> None:
    """Adapter, config, log and merged model are there; the loss falls by a third and more."""
    data = write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    result = _finetune(make_trainable(tmp_path / "base"), data, tmp_path / "out", "--epochs", "12")
    assert float(result.figures["last_loss"]) < 0.7 * float(result.figures["first_loss"])
    steps = [json.loads(line) for line in (tmp_path / "out/losses.jsonl").read_text().splitlines()]
    assert [step["step"] for step in steps] == list(range(1, 37))
    assert set(steps[0]) == {"step", "epoch", "loss", "learning_rate", "gradient_norm"}
    assert steps[-1]["epoch"] == 12
    settings = json.loads((tmp_path / "out/adapter/adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["peft_type"]) == (4, 8.0, "LORA")
    tensors = load_file(tmp_path / "out/adapter/adapter_model.safetensors")
    assert tensors["base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"].shape == (4, 48)
    assert len(tensors) == 2 * 2 * len(TARGETS)
    load_hf(tmp_path / "out/model")


@pytest.mark.slow
def test_finetune_twice_from_one_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Every file of two runs is equal; another seed gives other weights."""
    base, data = make_trainable(tmp_path / "base"), write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    for name, seed in (("one", "0"), ("two", "0"), ("other", "1")):
        _finetune(base, data, tmp_path / name, "--epochs", "1", "--seed", seed)
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) > 6
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    weights = "model/model.safetensors"
    assert (tmp_path / "one" / weights).read_bytes() != (tmp_path / "other" / weights).read_bytes()


@pytest.mark.slow
def test_finetune_with_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    """The error names the step, and the log is kept up to it."""
    base = make_trainable(tmp_path / "base")
    raw = load_file(base / "model.safetensors")
    raw["model.norm.weight"][:] = np.nan
    save_file(raw, base / "model.safetensors")
    data = write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(EngineError, match="step 1 of 9"):
        _finetune(base, data, tmp_path / "out")
    assert len((tmp_path / "out/losses.jsonl").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no pair"),
        ('{"instruction": "a", "response": "b"}\nnot json\n', ":2:1.*not JSON"),
        ('{"instruction": "a"}\n', "response.*None"),
        ('{"instruction": "a", "response": ""}\n', "non-empty"),
        ("[1]\n", "an object"),
    ],
    ids=["empty", "not-json", "no-response", "empty-response", "list"],
)
def test_finetune_on_a_broken_file_names_the_place(tmp_path: Path, text: str, match: str) -> None:
    """One line: file, line, what was got, what is allowed."""
    data = tmp_path / "pairs.jsonl"
    data.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError, match=match):
        _finetune(make_trainable(tmp_path / "base"), data, tmp_path / "out")


def test_finetune_with_no_room_for_an_answer_is_refused(tmp_path: Path) -> None:
    """A max_seq_len shorter than every instruction is the user's mistake."""
    data = write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(RequestError, match="max_seq_len: got 8"):
        _finetune(make_trainable(tmp_path / "base"), data, tmp_path / "out", "--max-seq-len", "8")


def test_finetune_with_a_wrong_setting_names_the_flag(tmp_path: Path) -> None:
    """The bounds of the recipe's own fields hold on the command line too."""
    data = write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    with pytest.raises(RequestError, match="--rank: got 0"):
        _finetune(make_trainable(tmp_path / "base"), data, tmp_path / "out", "--rank", "0")


def test_warmup_cosine_rises_peaks_and_falls_to_a_twentieth() -> None:
    """The rate rises over the first tenth of the steps and ends near a twentieth of its peak."""
    rate = warmup_cosine(1.0, 100)
    assert [rate(i) for i in range(10)] == pytest.approx([(i + 1) / 10 for i in range(10)])
    values = [rate(i) for i in range(10, 100)]
    assert values == sorted(values, reverse=True)
    assert math.isclose(rate(100), 0.05)
