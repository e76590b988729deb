"""The archive opened, and a prompt answered from it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .bpe import Codec
from .decoder import Decoder

__all__ = ["Model"]


class Model:
    """A model as the archive holds it: model.json, and the weights as weights/NAME.npy."""

    def __init__(self, archive: Path) -> None:
        self._archive = zipfile.ZipFile(archive)
        self.about: dict[str, Any] = json.loads(self._archive.read("model.json"))
        self.codec = Codec(self.about["tokenizer"])
        self._weights: dict[str, Any] = {}

    def ids(self, prompt: str, *, raw: bool = False) -> list[int]:
        """The prompt's tokens: as a turn of a chat where the model has a template, unless `raw`."""
        chat = self.about["chat"]
        if raw or chat is None:
            return [*self.about["start"], *self.codec.encode(prompt)]
        return self.codec.encode(chat[0] + prompt + chat[1])

    def logits(self, ids: list[int]) -> Any:
        """What follows the ids: float32 [vocab]."""
        decoder = Decoder(self.about["shape"], self._weight)
        for token in ids:
            logits = decoder.read(token)
        return logits

    def answer(self, prompt: str, max_tokens: int, *, raw: bool = False) -> Iterator[bytes]:
        """The answer's bytes, token by token, greedily; of equals the lowest id."""
        ids = self.ids(prompt, raw=raw)
        if not ids:
            raise ValueError("the prompt is empty; at least one token is needed")
        decoder, room = Decoder(self.about["shape"], self._weight), self.about["shape"]["context_length"] - len(ids)
        for token in ids:
            logits = decoder.read(token)
        for _ in range(min(max_tokens, room)):
            token = int(np.argmax(logits))
            if token in self.about["ends"]:
                return
            yield self.codec.decode([token])
            logits = decoder.read(token)

    def _weight(self, name: str) -> Any:
        if name not in self._weights:
            stored = np.load(io.BytesIO(self._archive.read(f"weights/{name}.npy")), allow_pickle=False)
            if stored.dtype == np.uint16:  # bfloat16: the upper half of a float32
                stored = (stored.astype(np.uint32) << 16).view(np.float32)
            self._weights[name] = stored.astype(np.float32, copy=False)
        return self._weights[name]
