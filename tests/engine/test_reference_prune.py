"""Pruning: masks against plain oracles, SparseGPT against magnitude, and whole models through the program."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from weightops_tiny import TEXT, make_tiny

from apr_leaderboard.engine.reference.calibration import Stream, calibration_windows, read_layer
from apr_leaderboard.engine.reference.cli import main
from apr_leaderboard.engine.reference.config import config_from_hf
from apr_leaderboard.engine.reference.forward import block, causal_attention, embed, forward, rope_tables
from apr_leaderboard.engine.reference.loader import load_model
from apr_leaderboard.engine.reference.prune import (
    group_scores,
    kept_count,
    kept_neurons,
    magnitude_mask,
    most_useful,
    neuron_scores,
    wanda_mask,
)
from apr_leaderboard.engine.reference.sparsegpt import sparsegpt
from apr_leaderboard.engine.reference.tensors import HfFolder, SafeTensorsWriter
from apr_leaderboard.errors import RequestError

F32 = NDArray[np.float32]
_logits = jax.jit(forward, static_argnums=0)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model, and text.txt beside it."""
    folder = tmp_path_factory.mktemp("prune")
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    return make_tiny(folder / "model")


def _prune(model: Path, out: Path, *words: str) -> tuple[dict[str, float], Path]:
    """Run the program in this process; its figures and the model it left."""
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        assert main(["prune", "--model", str(model), *words, "-o", str(out)]) == 0
    record = json.loads(stream.getvalue().splitlines()[-1])["record"]
    assert (record["checkpoint"], record["format"]) == ("model", "hf")
    return record["figures"], out / "model"


def _weights(seed: int, rows: int, columns: int, *, coarse: bool = False) -> F32:
    values = np.random.default_rng(seed).standard_normal((rows, columns))
    return np.asarray(np.round(values * 2) / 2 if coarse else values, np.float32)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 300), st.floats(0, 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_wanda_mask_equals_sorting_each_row_s_scores(
    seed: int, rows: int, columns: int, ratio: float, coarse: bool
) -> None:
    """The lowest |W| ||X|| of every row go, the first of equals first."""
    weight = _weights(seed, rows, columns, coarse=coarse)
    norms = np.abs(_weights(seed + 1, 1, columns, coarse=coarse)[0])
    mask = wanda_mask(weight, norms, ratio)
    for i in range(rows):
        order = sorted(range(columns), key=lambda j: (abs(weight[i, j]) * norms[j], j))
        assert set(np.flatnonzero(mask[i])) == set(order[: int(ratio * columns + 0.5)])


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 300), st.floats(0, 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_magnitude_mask_equals_sorting_the_whole_matrix(
    seed: int, rows: int, columns: int, ratio: float, coarse: bool
) -> None:
    """The lowest |W| of the matrix go, whatever their row."""
    weight = _weights(seed, rows, columns, coarse=coarse)
    order = sorted(range(weight.size), key=lambda j: (abs(weight.flat[j]), j))
    wanted = set(order[: int(ratio * weight.size + 0.5)])
    assert set(np.flatnonzero(magnitude_mask(weight, ratio))) == wanted


def test_wanda_mask_differs_from_magnitude_where_inputs_differ() -> None:
    """A feature that is always loud keeps its small weights."""
    weight = _weights(0, 16, 64)
    norms = np.ones(64, np.float32)
    norms[:8] = 50
    wanda = wanda_mask(weight, norms, 0.5)
    assert wanda[:, :8].mean() < 0.05
    assert magnitude_mask(weight, 0.5)[:, :8].mean() > 0.4


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5, 0.7]), st.sampled_from([64, 150]))
@settings(max_examples=8, deadline=None)
def test_sparsegpt_reconstructs_better_than_magnitude_at_the_same_sparsity(
    seed: int, ratio: float, columns: int
) -> None:
    """Error is ||(W - W') X||; inputs are correlated, as activations are."""
    generator = np.random.default_rng(seed)
    weight = _weights(seed, 24, columns)
    x = generator.standard_normal((columns, columns)) @ generator.standard_normal((columns, 4 * columns))
    pruned = sparsegpt(weight, x @ x.T, ratio, block_size=32)
    plain = np.where(magnitude_mask(weight, ratio), 0, weight)
    assert abs(float(np.mean(pruned == 0)) - ratio) < 0.001
    assert np.linalg.norm((weight - pruned) @ x) < np.linalg.norm((weight - plain) @ x)


def test_sparsegpt_one_weight_moves_the_rest_as_least_squares_would() -> None:
    """With one weight taken out of a row, those after it take the exact least-squares values."""
    generator = np.random.default_rng(5)
    x = generator.standard_normal((6, 200))
    weight = np.array([[1e-4, 1.0, -2.0, 0.5, 1.5, -0.7]], np.float32)
    pruned = sparsegpt(weight, x @ x.T, 1 / 6, block_size=6, damping=1e-9)
    wanted, *_ = np.linalg.lstsq(x[1:].T, (weight @ x)[0], rcond=None)
    np.testing.assert_allclose(pruned[0, 1:], wanted, rtol=1e-4)
    assert pruned[0, 0] == 0


def test_sparsegpt_feature_that_is_never_used_is_taken_out() -> None:
    """Its weights cannot matter."""
    x = np.random.default_rng(1).standard_normal((8, 40))
    x[3] = 0
    assert (sparsegpt(_weights(1, 4, 8), x @ x.T, 0.25)[:, 3] == 0).all()


@pytest.mark.parametrize(("n", "ratio", "kept"), [(4864, 0.15, 4128), (8960, 0.15, 7616), (160, 0.2, 128), (7, 0.3, 5)])
def test_kept_neurons_is_near_the_ratio_in_a_wide_step(n: int, ratio: float, kept: int) -> None:
    """Multiples of 32 and more where 0.005 allows it."""
    assert kept_neurons(n, ratio) == kept


def test_kept_count_ratio_that_removes_nothing_is_refused() -> None:
    """0.1 of two groups is none."""
    with pytest.raises(RequestError, match=r"target_ratio 0.1 of 2 groups leaves 2; allowed: 0.25 to just under 0.75"):
        kept_count(2, 0.1, "groups")


def test_most_useful_equal_scores_keeps_the_first() -> None:
    """In rising order of place."""
    assert most_useful(np.array([1, 3, 3, 3, 0], np.float32), 2).tolist() == [1, 2]


def test_neuron_and_group_scores_are_norms_of_contributions() -> None:
    """Of down[:, j] h_j, and of the sum over a group's columns of O A."""
    generator = np.random.default_rng(2)
    down, h = generator.standard_normal((5, 8)).astype(np.float32), generator.standard_normal((8, 30))
    wanted = [np.linalg.norm(np.outer(down[:, j], h[j])) for j in range(8)]
    np.testing.assert_allclose(neuron_scores(down, np.sqrt((h**2).sum(axis=1)).astype(np.float32)), wanted, rtol=1e-5)
    wanted = [np.linalg.norm(down[:, p] @ h[p]) for p in (slice(0, 4), slice(4, 8))]
    np.testing.assert_allclose(group_scores(down, (h @ h.T).astype(np.float32), 2), wanted, rtol=1e-4)


@pytest.mark.slow
def test_stream_measures_and_advances_as_the_forward_pass_does(tiny: Path) -> None:
    """The tapped layer gives what `forward.block` gives, and its input norms are those of its inputs."""
    folder, config = HfFolder(tiny), config_from_hf(tiny)
    windows = np.random.default_rng(0).integers(0, 300, (6, 16)).astype(np.int32)
    embedding = folder.read("model.embed_tokens.weight")
    stream = Stream(config, embedding, windows)
    layer = read_layer(folder, config, 0)
    x = embed({"embed": jnp.asarray(embedding)}, windows.reshape(-1))
    positions = jnp.tile(jnp.arange(16, dtype=jnp.int32), 6)
    tables = rope_tables(config, positions)
    through = jax.jit(lambda layer, x: block(config, layer, x, tables, lambda q, k, v: causal_attention(q, k, v, 6)))
    out = through(layer, x)
    normed = x / np.sqrt((np.asarray(x) ** 2).mean(axis=0) + config.norm_eps) * layer["attn_norm"][:, None]
    measured = stream.measure(layer)
    np.testing.assert_allclose(measured.inputs["attention"], (np.asarray(normed) ** 2).sum(axis=1), rtol=1e-4)
    grams = stream.measure(layer, grams=True).inputs
    for name, squares in measured.inputs.items():
        np.testing.assert_allclose(np.diag(grams[name]), squares, rtol=1e-4, atol=1e-4)
    stream.advance(layer)
    np.testing.assert_allclose(np.concatenate([np.asarray(part) for part in stream._x], axis=1), out, atol=1e-4)


def test_calibration_windows_jsonl_joins_the_texts(tiny: Path, tmp_path: Path) -> None:
    """Instruction and response of every row, in order; a row ends with its line, not at a separator in its text."""
    rows = [{"instruction": "add two\u2028numbers", "response": "def add(a, b): return a + b"}] * 20
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    codec = load_model(tiny).codec
    windows = calibration_windows(file, codec, 16, 64)
    text = "\n\n".join(f"{row['instruction']}\n{row['response']}" for row in rows)
    assert windows.shape == (4, 16)
    assert windows[0].tolist() == codec.encode(text)[:16]


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
@pytest.mark.parametrize("ratio", [0.2, 0.5])
def test_prune_to_zero_reaches_the_ratio_within_a_hundredth(
    tiny: Path, tmp_path: Path, method: str, ratio: float
) -> None:
    """Counted in the file that was written; embeddings and vectors are as they were."""
    extra = () if method == "magnitude" else ("--calibration", str(tiny.parent / "text.txt"))
    figures, model = _prune(tiny, tmp_path, "--method", method, "--target-ratio", str(ratio), *extra)
    written, before = HfFolder(model), HfFolder(tiny)
    assert written.specs == before.specs
    zeros = values = 0
    for name in written.specs:
        if "proj.weight" in name:
            zeros += int((written.read(name) == 0).sum())
            values += written.read(name).size
        else:
            np.testing.assert_array_equal(written.read(name), before.read(name))
    assert abs(zeros / values - ratio) < 0.01
    assert figures["sparsity"] == pytest.approx(zeros / values)


def test_prune_wanda_first_layer_is_the_wanda_mask_not_the_magnitude_mask(tiny: Path, tmp_path: Path) -> None:
    """Recomputed here from the embedding of the calibration tokens."""
    text = tiny.parent / "text.txt"
    words = ("--method", "wanda", "--target-ratio", "0.5", "--calibration", str(text), "--calibration-window", "32")
    _, model = _prune(tiny, tmp_path, *words)
    folder, config = HfFolder(tiny), config_from_hf(tiny)
    ids = calibration_windows(text, load_model(tiny).codec, 32, 8192)
    x = folder.read("model.embed_tokens.weight")[ids.reshape(-1)].astype(np.float64)
    h = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + config.norm_eps)
    h *= folder.read("model.layers.0.input_layernorm.weight")
    name = "model.layers.0.self_attn.q_proj.weight"
    weight, gone = folder.read(name), HfFolder(model).read(name) == 0
    wanted = wanda_mask(weight, np.sqrt((h**2).sum(axis=0)).astype(np.float32), 0.5)
    assert np.mean(gone != wanted) < 0.001
    assert np.mean(gone != magnitude_mask(weight, 0.5)) > 0.02


@pytest.mark.slow
@pytest.mark.parametrize("parts", ["ffn", "both"])
def test_prune_structured_shrinks_and_computes_as_if_the_parts_were_zero(
    tiny: Path, tmp_path: Path, parts: str
) -> None:
    """Cutting rows out is the same function as setting their outputs to zero."""
    ratio = "0.2" if parts == "ffn" else "0.5"
    figures, model = _prune(tiny, tmp_path, "--method", "structured", "--target-ratio", ratio, "--parts", parts)
    config, before = config_from_hf(model), config_from_hf(tiny)
    assert config.intermediate_size == {"ffn": 128, "both": 80}[parts]
    assert (config.n_heads, config.n_kv_heads) == ((4, 2) if parts == "ffn" else (2, 1))
    assert config.n_parameters == figures["n_parameters"] < before.n_parameters
    whole, cut = load_model(tiny, fused=False), load_model(model, fused=False)
    for old, new in zip(whole.params["layers"], cut.params["layers"], strict=True):
        for part in ("down_proj", "o_proj"):
            kept = {tuple(c) for c in np.asarray(new[part]["weight"]).T.tolist()}
            columns = np.asarray(old[part]["weight"])
            alive = np.array([tuple(c) in kept for c in columns.T.tolist()])
            assert alive.sum() == new[part]["weight"].shape[1]
            old[part]["weight"] = jnp.asarray(np.where(alive, columns, 0))
    tokens = jnp.asarray(np.random.default_rng(0).integers(0, 300, (2, 12)), jnp.int32)
    got = _logits(cut.config, cut.params, tokens)
    np.testing.assert_allclose(got, _logits(whole.config, whole.params, tokens), atol=1e-3)


def test_prune_depth_drops_the_layer_that_does_least(tmp_path: Path) -> None:
    """A layer whose outputs are next to nothing leaves its input as it is, so it goes."""
    model = make_tiny(tmp_path / "model", dtype="F32")
    _silence(model, 2)
    figures, pruned = _prune(model, tmp_path / "out", "--method", "depth", "--target-ratio", "0.25")
    assert figures["layers_dropped"] == "2"
    assert config_from_hf(pruned).n_layers == 3
    tokens = jnp.asarray([[5, 9, 40, 7]], jnp.int32)
    whole, cut = load_model(model, fused=False), load_model(pruned, fused=False)
    got = _logits(cut.config, cut.params, tokens)
    np.testing.assert_allclose(got, _logits(whole.config, whole.params, tokens), atol=1e-2)


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "structured", "depth"])
def test_prune_twice_gives_the_same_bytes(tiny: Path, tmp_path: Path, method: str) -> None:
    """Weights and lineage, wherever the result lies."""
    digests = []
    for name in ("one", "two"):
        _, model = _prune(tiny, tmp_path / name, "--method", method, "--target-ratio", "0.25")
        files = sorted(model.iterdir())
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert digests[0] == digests[1]
    assert "lineage.json" in {name for name, _ in digests[0]}


def _silence(model: Path, layer: int) -> None:
    """Make a layer's two outputs a thousand times smaller, in place."""
    folder = HfFolder(model)
    arrays = {name: folder.read(name) for name in folder.specs}
    for part in ("self_attn.o_proj", "mlp.down_proj"):
        arrays[f"model.layers.{layer}.{part}.weight"] *= 1e-3
    with SafeTensorsWriter(model / "model.safetensors", list(folder.specs.values())) as writer:
        for name, array in arrays.items():
            writer.write(name, array)
