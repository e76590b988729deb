"""A tiny random Qwen2 in the Hugging Face layout, .apr files made by hand, and the real program where there is one."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apr_leaderboard.engine import Checkpoint, ImportJob
from apr_leaderboard.engine.apr import AprEngine
from apr_leaderboard.engine.protocol import ignore_progress
from apr_leaderboard.model.stage import ImportParams

_HIDDEN, _LAYERS, _HEADS, _KV_HEADS, _INNER = 64, 2, 4, 2, 128
_CODES = {"F32": 0, "F16": 1, "I8": 6, "Q4_K": 12, "BF16": 30}


def build_apr(
    tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]], metadata: Mapping[str, Any] | None = None
) -> bytes:
    """The bytes of a .apr file: name -> (dtype, shape, data)."""
    meta = json.dumps(metadata if metadata is not None else _TOKENIZER).encode()
    meta += b" " * (-len(meta) % 64)
    index, data = b"", b""
    for name, (dtype, shape, raw) in tensors.items():
        encoded = name.encode()
        index += struct.pack("<H", len(encoded)) + encoded + struct.pack("<BB", _CODES[dtype], len(shape))
        index += struct.pack(f"<{len(shape)}QQQ", *shape, len(data), len(raw))
        data += raw + b"\0" * (-len(raw) % 64)
    index += b"\0" * (-len(index) % 64)
    head = struct.pack("<4sBBHIQIQQ", b"APR\0", 2, 0, 1024, len(tensors), 64, len(meta), 64 + len(meta),
                       64 + len(meta) + len(index))  # fmt: skip
    return head + struct.pack("<I", zlib.crc32(head + b"\0" * 20)) + b"\0" * 20 + meta + index + data


_TOKENIZER = {"tokenizer.vocabulary": ["a", "b"], "tokenizer.merges": ["a b"]}


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with config.json, tokenizer.json and model.safetensors of about 110 k random parameters."""
    tokenizers = pytest.importorskip("tokenizers")
    numpy_io = pytest.importorskip("safetensors.numpy")
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["def add(a, b):\n    return a + b\n"] * 20, trainer)
    special = [tokenizers.AddedToken(text, special=True) for text in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")]
    tokenizer.add_special_tokens(special)
    tokenizer.save(str(folder / "tokenizer.json"))
    vocab = tokenizer.get_vocab_size()
    config = {
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_size": _HIDDEN,
        "num_hidden_layers": _LAYERS, "num_attention_heads": _HEADS, "num_key_value_heads": _KV_HEADS,
        "intermediate_size": _INNER, "vocab_size": vocab, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "max_position_embeddings": 512, "tie_word_embeddings": False, "hidden_act": "silu", "torch_dtype": "float32",
        "bos_token_id": vocab - 3, "eos_token_id": vocab - 1,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    numpy_io.save_file(_weights(vocab), str(folder / "model.safetensors"), metadata={"format": "pt"})
    return folder


def _weights(vocab: int) -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    kv = _HIDDEN // _HEADS * _KV_HEADS

    def draw(*shape: int) -> np.ndarray[Any, Any]:
        return (rng.standard_normal(shape) * 0.08).astype(np.float32)

    ones = np.ones(_HIDDEN, np.float32)
    weights = {
        "model.embed_tokens.weight": draw(vocab, _HIDDEN),
        "model.norm.weight": ones,
        "lm_head.weight": draw(vocab, _HIDDEN),
    }
    for layer in range(_LAYERS):
        block = f"model.layers.{layer}"
        for name, rows in (("q", _HIDDEN), ("k", kv), ("v", kv)):
            weights[f"{block}.self_attn.{name}_proj.weight"] = draw(rows, _HIDDEN)
            weights[f"{block}.self_attn.{name}_proj.bias"] = draw(rows)
        weights[f"{block}.self_attn.o_proj.weight"] = draw(_HIDDEN, _HIDDEN)
        weights[f"{block}.mlp.gate_proj.weight"] = draw(_INNER, _HIDDEN)
        weights[f"{block}.mlp.up_proj.weight"] = draw(_INNER, _HIDDEN)
        weights[f"{block}.mlp.down_proj.weight"] = draw(_HIDDEN, _INNER)
        weights[f"{block}.input_layernorm.weight"] = ones
        weights[f"{block}.post_attention_layernorm.weight"] = ones
    return weights


@pytest.fixture
def apr_bytes() -> Callable[..., bytes]:
    """Makes .apr files: `apr_bytes({name: (dtype, shape, data)}, metadata)`."""
    return build_apr


@pytest.fixture
def gguf_file(tmp_path: Path) -> Callable[[Mapping[str, np.ndarray[Any, Any]]], Checkpoint]:
    """Writes tensors as they are into m.gguf."""
    gguf = pytest.importorskip("gguf")

    def write(tensors: Mapping[str, np.ndarray[Any, Any]]) -> Checkpoint:
        writer = gguf.GGUFWriter(tmp_path / "m.gguf", "qwen2")
        for name, values in tensors.items():
            writer.add_tensor(name, values)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return Checkpoint(tmp_path / "m.gguf", "gguf")

    return write


@pytest.fixture
def recorded() -> Callable[[str], str]:
    """Text recorded from `apr` 0.72.3, by file name."""
    folder = Path(__file__).with_name("recorded")
    return lambda name: (folder / name).read_text(encoding="utf-8")


@pytest.fixture
def fake_apr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a shell script that stands in for the program, for ends that the real one cannot be made to meet."""
    monkeypatch.delenv("APR_BIN", raising=False)

    def write(body: str) -> Path:
        path = tmp_path / "fake-apr"
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "apr 9.9.9 (fake)" && exit 0\n{body}\n')
        path.chmod(0o755)
        return path

    return write


@pytest.fixture(scope="session")
def real_engine() -> AprEngine:
    """The real program named by APR_BIN."""
    binary = os.environ.get("APR_BIN")
    if not binary:
        pytest.skip("APR_BIN names no apr program")
    return AprEngine(binary)


@pytest.fixture(scope="session")
def imported(real_engine: AprEngine, tiny_qwen2: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The tiny model as the real program imports it."""
    out = tmp_path_factory.mktemp("imported")
    record = real_engine.run(ImportJob(Checkpoint(tiny_qwen2, "hf"), ImportParams()), out, ignore_progress)
    assert record.checkpoint is not None
    return Checkpoint(out / record.checkpoint, "apr")
