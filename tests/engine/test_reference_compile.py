"""The program that compile writes: its tokenizer, its decoder, and that it runs with Python and NumPy alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from refmodels import write_model, write_tokenizer
from safetensors.numpy import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from apr_leaderboard.engine.reference.jobs_compile import check_program
from apr_leaderboard.engine.reference.loader import load_model
from apr_leaderboard.engine.reference.program.bpe import Codec
from apr_leaderboard.engine.reference.program_file import _tokenizer, write_program
from apr_leaderboard.engine.reference.tokenizer import QWEN2_SPLIT
from apr_leaderboard.errors import EngineOutputError, EngineRefusedError

_BYTES = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
_GPT2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
_SPLITS: dict[str, Any] = {
    "qwen2": pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"), _BYTES]),
    "gpt2": _GPT2,
    "smollm": pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), _GPT2]),
}


def _tell(done: int, total: int) -> None:
    """Nobody looks."""


def _trained(split: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = _SPLITS[split], decoders.ByteLevel()
    if split == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    text = "def add(a, b):\n    return a + b  # it's 12 or 345\n\n\nwe'll see: Ünï 文字文字 \t x²\r\n"
    tokenizer.train_from_iterator([text] * 20, trainer)
    tokenizer.add_special_tokens(["<|im_end|>"])
    return tokenizer


@pytest.fixture(scope="module", params=list(_SPLITS))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Codec]:
    """A tokenizer, and the program's own made from its file."""
    tokenizer = _trained(request.param)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return tokenizer, Codec(_tokenizer(path))


_PIECES = st.sampled_from(
    ["def ", "it's", "I'LL", "  ", "\n", "\r\n", "\t", " 12", "3", "²", "文", "é", "e\u0301", "!?", " _x", "<|im_end|>",
     "\u00a0", "\u2028", "Ⅷ", "'", "🙂"]
)  # fmt: skip


@settings(deadline=None)
@given(text=st.lists(_PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_program_tokenizer_is_the_library_s(pair: tuple[Tokenizer, Codec], text: str) -> None:
    """The same ids for every text, and the bytes back."""
    tokenizer, codec = pair
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert codec.encode(text) == ids
    assert codec.decode(ids).decode("utf-8", "replace") == tokenizer.decode(ids, skip_special_tokens=True)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model and the program made of it."""
    folder = write_tokenizer(write_model(tmp_path_factory.mktemp("compiled") / "model", "qwen2-untied"))
    program = folder.parent / "program"
    write_program(folder, program, "{}", _tell)
    return folder, program


@pytest.mark.slow
def test_program_runs_alone_and_answers_as_the_engine(compiled: tuple[Path, Path]) -> None:
    """Tokens, logits and greedy answers, asked in an empty folder with `python -I`."""
    folder, program = compiled
    assert check_program(program, load_model(folder)) < 1e-4


@pytest.mark.parametrize("name", ["qwen2-tied", "llama"])
def test_program_of_other_shapes_has_the_engine_s_logits(tmp_path: Path, name: str) -> None:
    """Tied embeddings, no biases, another rotary base."""
    from apr_leaderboard.engine.reference.forward import forward
    from apr_leaderboard.engine.reference.program.answer import Model

    folder = write_tokenizer(write_model(tmp_path / "model", name))
    write_program(folder, tmp_path / "program", "{}", _tell)
    model, ids = load_model(folder), [1, 2, 3, 250, 4]
    expected = np.asarray(forward(model.config, model.params, np.array([ids], np.int32))[0, -1])
    np.testing.assert_allclose(Model(tmp_path / "program").logits(ids), expected, atol=1e-4)


@pytest.mark.slow
def test_program_of_another_model_is_found_out(compiled: tuple[Path, Path], tmp_path: Path) -> None:
    """A single changed weight matrix is enough."""
    folder, program = compiled
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    tensors = load_file(other / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"] *= 1.1
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineOutputError, match=r"logits .* are off by"):
        check_program(program, load_model(other))


def test_program_is_the_same_bytes_twice(compiled: tuple[Path, Path], tmp_path: Path) -> None:
    """No times, no paths."""
    folder, program = compiled
    write_program(Path(shutil.copytree(folder, tmp_path / "elsewhere")), tmp_path / "again", "{}", _tell)
    assert (tmp_path / "again").read_bytes() == program.read_bytes()
    assert program.stat().st_mode & 0o111


def test_program_without_numpy_says_what_it_needs(compiled: tuple[Path, Path], tmp_path: Path) -> None:
    """-S leaves the installed packages out."""
    alone = shutil.copy2(compiled[1], tmp_path)
    words = [sys.executable, "-I", "-S", str(alone), "--prompt", "x"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "error: No module named 'numpy': this program needs NumPy; get it with `pip install numpy`\n"
    )  # fmt: skip


def test_compile_refuses_a_tokenizer_it_cannot_imitate(tmp_path: Path) -> None:
    """Another word split would give other tokens."""
    folder = write_tokenizer(write_model(tmp_path / "model", "llama"))
    raw = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    raw["pre_tokenizer"] = {"type": "Whitespace"}
    (folder / "tokenizer.json").write_text(json.dumps(raw), encoding="utf-8")
    with pytest.raises(EngineRefusedError, match="got the word split Whitespace; accepted: those of Qwen2"):
        write_program(folder, tmp_path / "program", "{}", _tell)
