"""A GGUF file opened by llama.cpp, through llama-cpp-python's binding of its C interface."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path
from typing import Any

import llama_cpp

from .lines import Decoding, RenderedPrompt, WorkerError

__all__ = ["LlamaModel"]

_PIECE_BYTES = 256


class LlamaModel:
    """Model, vocabulary and a context of `slots` sequences of `room` positions each; close it after use."""

    def __init__(self, path: Path, slots: int, room: int, threads: int) -> None:
        if path.suffix != ".gguf" or not path.is_file():
            raise WorkerError(f"{path}: got no GGUF file; accepted: a .gguf file", 3)
        started = time.perf_counter()
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._quiet, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            raise WorkerError(f"{path}: llama.cpp cannot load it", 3)
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.context = int(llama_cpp.llama_model_n_ctx_train(self.model))
        self.room = min(room, self.context)
        self.threads = threads or len(os.sched_getaffinity(0))
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = slots * self.room
        params.n_seq_max = slots
        params.n_threads = params.n_threads_batch = self.threads
        self.n_batch = int(params.n_batch)
        self.ctx = llama_cpp.llama_init_from_model(self.model, params)
        if not self.ctx:
            raise WorkerError(f"llama.cpp cannot make a context of {slots} sequences of {self.room} positions")
        self.memory = llama_cpp.llama_get_memory(self.ctx)
        self.load_seconds = time.perf_counter() - started

    def encode(self, prompt: RenderedPrompt) -> list[int]:
        """Ids of the rendered text by llama.cpp's tokenizer, its markers read as control tokens."""
        raw = prompt.rendered.encode("utf-8")
        room = len(raw) + 8
        tokens = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, raw, len(raw), tokens, room, prompt.special, True)
        if count < 0:
            raise WorkerError(f"{prompt.task_id}: llama.cpp does not tokenise the prompt")
        return list(tokens[:count])

    def piece(self, token: int) -> bytes:
        """The bytes of a token; nothing for a control token."""
        buffer = (ctypes.c_char * _PIECE_BYTES)()
        length = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, _PIECE_BYTES, 0, False)
        return buffer.raw[: max(length, 0)]

    def ends(self, token: int) -> bool:
        """Whether a token ends an answer."""
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def sampler(self, decoding: Decoding, seed: int) -> Any:
        """llama.cpp's own sampler: greedy, or top-k, top-p, temperature and a draw with this seed."""
        chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
        parts = [llama_cpp.llama_sampler_init_greedy()]
        if decoding.temperature > 0:
            # Temperature first: top-p is a share of the distribution that is drawn from, as the suite defines it.
            parts = [llama_cpp.llama_sampler_init_temp(decoding.temperature)]
            parts += [llama_cpp.llama_sampler_init_top_k(decoding.top_k)] if decoding.top_k else []
            parts += [llama_cpp.llama_sampler_init_top_p(decoding.top_p, 1)] if decoding.top_p < 1.0 else []
            parts += [llama_cpp.llama_sampler_init_dist(seed)]
        for part in parts:
            llama_cpp.llama_sampler_chain_add(chain, part)
        return chain

    def close(self) -> None:
        """Give the memory back."""
        llama_cpp.llama_free(self.ctx)
        llama_cpp.llama_model_free(self.model)
