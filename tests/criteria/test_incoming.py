"""An import held against what came in, also where a GGUF file calls everything by other names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from apr_leaderboard.criteria.incoming import import_gap
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made

gguf = pytest.importorskip("gguf")
numpy_io = pytest.importorskip("safetensors.numpy")

Values = Mapping[str, NDArray[np.float32]]
HEADS, SHARED, WIDTH = 4, 2, 16


def weights() -> dict[str, NDArray[np.float32]]:
    """A few tensors of one layer, by the names of the Hugging Face layout."""
    random = np.random.default_rng(3)
    narrow = WIDTH * SHARED // HEADS
    shapes = {
        "model.embed_tokens.weight": (8, WIDTH),
        "model.layers.0.self_attn.q_proj.weight": (WIDTH, WIDTH),
        "model.layers.0.self_attn.k_proj.weight": (narrow, WIDTH),
        "model.layers.0.self_attn.q_proj.bias": (WIDTH,),
        "model.norm.weight": (WIDTH,),
    }
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def folder(path: Path, tensors: Values) -> Made:
    """A model folder with these tensors alone."""
    path.mkdir()
    numpy_io.save_file(dict(tensors), path / "model.safetensors")
    return Made(cast(Any, None), path, Checkpoint(path, "hf"))


def gguf_file(path: Path, architecture: str, tensors: Values) -> Made:
    """A GGUF file of them, as llama.cpp's converter names and turns them."""
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.layers.0.self_attn.q_proj.weight": "blk.0.attn_q.weight",
        "model.layers.0.self_attn.k_proj.weight": "blk.0.attn_k.weight",
        "model.layers.0.self_attn.q_proj.bias": "blk.0.attn_q.bias",
        "model.norm.weight": "output_norm.weight",
    }
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(1)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(SHARED)
    for name, values in tensors.items():
        heads = {"q": HEADS, "k": SHARED}.get(name[-13:-12] if name.endswith("_proj.weight") else "")
        if architecture == "llama" and heads:
            values = values.reshape(heads, 2, -1, WIDTH).swapaxes(1, 2).reshape(values.shape)
        writer.add_tensor(names[name], values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Made(cast(Any, None), path, Checkpoint(path, "gguf"))


@pytest.mark.parametrize("architecture", ["qwen2", "llama"])
def test_import_of_a_gguf_file_that_kept_everything_has_no_gap(architecture: str, tmp_path: Path) -> None:
    """Names and the order of rows are the format's affair."""
    source = gguf_file(tmp_path / "m.gguf", architecture, weights())
    assert import_gap(source, folder(tmp_path / "m", weights())) == (0.0, "", 5)


def test_import_that_turned_one_value_has_a_gap_there(tmp_path: Path) -> None:
    """Named as the import names it."""
    wrong = weights()
    wrong["model.norm.weight"][0] *= -1
    gap, where, _ = import_gap(gguf_file(tmp_path / "m.gguf", "qwen2", weights()), folder(tmp_path / "m", wrong))
    assert (gap > 0.1, where) == (True, "model.norm.weight")


def test_import_that_left_a_tensor_out_is_refuted_by_its_name(tmp_path: Path) -> None:
    """By that of the source, since the import has none for it."""
    less = {name: values for name, values in weights().items() if "q_proj.bias" not in name}
    with pytest.raises(Refuted, match=r"1 of 5 tensors are not in the import, such as blk\.0\.attn_q\.bias"):
        import_gap(gguf_file(tmp_path / "m.gguf", "qwen2", weights()), folder(tmp_path / "m", less))


def test_import_of_an_output_layer_that_is_the_embedding_may_leave_it_out(tmp_path: Path) -> None:
    """Where the two are one; where they differ, there is a gap."""
    tied = {**weights(), "lm_head.weight": weights()["model.embed_tokens.weight"]}
    other = {**tied, "lm_head.weight": -tied["lm_head.weight"]}
    left = folder(tmp_path / "m", weights())
    assert import_gap(folder(tmp_path / "tied", tied), left)[0] == 0.0
    assert import_gap(folder(tmp_path / "other", other), left)[1] == "lm_head.weight"


def test_import_of_an_architecture_without_a_table_is_not_here(tmp_path: Path) -> None:
    """Nobody can say what belongs to what."""
    with pytest.raises(NotHere, match="needs the names of the tensors of nobody"):
        import_gap(gguf_file(tmp_path / "m.gguf", "nobody", weights()), folder(tmp_path / "m", weights()))
