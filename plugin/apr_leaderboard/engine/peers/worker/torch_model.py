"""A model and its tokenizer as transformers loads them, from a GGUF file (dequantised) or a Hugging Face folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from .lines import RenderedPrompt, WorkerError
from .text import END_TEXTS, token_bytes

__all__ = ["DTYPES", "TorchModel", "device_named", "load_torch"]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class TorchModel:
    """`pieces[i]` is what token i adds to an answer; `ends` are the ids that end one; `context` counts positions."""

    model: Any
    tokenizer: Any
    pieces: list[bytes]
    ends: frozenset[int]
    context: int
    device: str
    load_seconds: float

    def encode(self, prompt: RenderedPrompt) -> list[int]:
        """Ids of the rendered text by this tokenizer; a raw text also gets the tokenizer's start token, if any."""
        ids = self.tokenizer(prompt.rendered, add_special_tokens=prompt.special)["input_ids"]
        return [int(token) for token in ids]

    def piece(self, token: int) -> bytes:
        """The bytes of a token; ids beyond the vocabulary add nothing."""
        return self.pieces[token] if token < len(self.pieces) else b""


def device_named(name: str) -> str:
    """`auto` is the GPU where there is one. Raises WorkerError (exit 3) for a GPU that is not there."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise WorkerError(f"got device {name!r}, but torch finds no GPU here; accepted: cpu, auto", 3)
    return name


def load_torch(path: Path, dtype: str, device: str) -> TorchModel:
    """Load both. Raises WorkerError: exit 3 for what is no model, 5 for a tokenizer that is not byte-level."""
    started = time.perf_counter()
    if path.is_dir():
        place, extra = path, {}
    elif path.suffix == ".gguf" and path.is_file():
        place, extra = path.parent, {"gguf_file": path.name}
    else:
        raise WorkerError(f"{path}: is neither a folder nor a .gguf file", 3)
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(place), local_files_only=True, **extra)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        str(place), local_files_only=True, dtype=DTYPES[dtype], **extra
    )
    model = model.to(device).eval()
    backend = tokenizer.backend_tokenizer
    if "ByteLevel" not in str(backend.decoder):
        raise WorkerError(f"{path}: got the tokenizer {backend.decoder!s:.60}; accepted: byte-level BPE", 5)
    words = backend.get_vocab(with_added_tokens=True)
    added = backend.get_added_tokens_decoder()
    special = frozenset(token for token, word in added.items() if word.special)
    ends = {words[text] for text in END_TEXTS if text in words}
    configured = model.generation_config.eos_token_id
    ends |= set(configured) if isinstance(configured, list) else {configured} - {None}
    return TorchModel(
        model=model,
        tokenizer=tokenizer,
        pieces=token_bytes(words, special, frozenset(added)),
        ends=frozenset(ends),
        context=int(model.config.max_position_embeddings),
        device=device,
        load_seconds=time.perf_counter() - started,
    )
