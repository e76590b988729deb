"""Reads .apr, SafeTensors and GGUF files with Python's standard library alone, since reproducers carry it.

The kind is told by a file's first bytes, not by its name. Layouts: .apr from crate `apr-format` 0.72.3
(`src/v2/header_impl.rs`, `tensor_index_impl.rs`); SafeTensors and GGUF from the formats' own specifications; blocks
of Q4_K and Q6_K from ggml (`ggml-quants.c`). Independent of the engines' own readers, and for small files only.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["ModelFile", "Tensor", "UnreadableError", "read_model"]

_APR_HEADER = struct.Struct("<4sBBHIQIQQI")
_APR_DTYPES = {
    0: "F32", 1: "F16", 3: "F64", 6: "I8", 8: "APR_Q4", 9: "APR_Q8", 12: "Q4_K", 14: "Q6_K", 30: "BF16",
    128: "APR_Q4", 129: "APR_Q8",
}  # fmt: skip
_GGUF_DTYPES = {0: "F32", 1: "F16", 2: "Q4_0", 8: "Q8_0", 12: "Q4_K", 14: "Q6_K", 28: "F64", 30: "BF16"}
_GGUF_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_FLOATS = {"F32": ("f", 4), "F16": ("e", 2), "F64": ("d", 8)}
_TORN = (
    struct.error, ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError
)  # fmt: skip
"""What reading a header that is no header may come to."""
_BLOCKS = {"Q4_0": (32, 18), "Q8_0": (32, 34), "Q4_K": (256, 144), "Q6_K": (256, 210)}


class UnreadableError(ValueError):
    """The file is not what its layout says, or holds what is not known here; the message tells what."""


@dataclass(frozen=True)
class Tensor:
    """Where a tensor lies: `offset` and `size` in bytes, `shape` rows first."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True)
class ModelFile:
    """A file's kind (`apr`, `safetensors`, `gguf`), metadata and tensors."""

    kind: str
    metadata: dict[str, Any]
    tensors: dict[str, Tensor]
    data: bytes = field(repr=False)

    def values(self, name: str) -> list[float]:
        """A tensor's values, flat, rows first; padding at the end of rows is cut. Raises `UnreadableError`."""
        tensor = self.tensors[name]
        raw = self.data[tensor.offset : tensor.offset + tensor.size]
        count = math.prod(tensor.shape)
        try:
            return _decode(raw, tensor.dtype, count, tensor.shape[-1] if tensor.shape else 1)
        except (struct.error, IndexError) as error:
            raise UnreadableError(f"tensor {name}: {len(raw)} bytes of {tensor.dtype} for {count}: {error}") from None


def read_model(path: Path) -> ModelFile:
    """Open a file by its first bytes. Raises `UnreadableError`, and `FileNotFoundError` where there is none."""
    data = path.read_bytes()
    try:
        if data[:4] == b"APR\0":
            return _read_apr(data)
        if data[:4] == b"GGUF":
            return _Gguf(data).read()
        return _read_safetensors(data)
    except _TORN as error:
        raise UnreadableError(f"{path.name}: {error!r}"[:160]) from None


def _read_apr(data: bytes) -> ModelFile:
    _, _, _, _, count, meta_at, meta_size, at, data_at, _ = _APR_HEADER.unpack_from(data)
    tensors = {}
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        dtype, rank = struct.unpack_from("<BB", data, at + 2 + length)
        *shape, offset, size = struct.unpack_from(f"<{rank}QQQ", data, at + 4 + length)
        at += 4 + length + 8 * (rank + 2)
        tensors[name] = Tensor(_APR_DTYPES.get(dtype, f"dtype {dtype}"), tuple(shape), data_at + offset, size)
    return ModelFile("apr", json.loads(data[meta_at : meta_at + meta_size]), tensors, data)


def _read_safetensors(data: bytes) -> ModelFile:
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {
        name: Tensor(entry["dtype"], tuple(entry["shape"]), 8 + length + low, high - low)
        for name, entry in header.items()
        for low, high in [entry["data_offsets"]]
    }
    return ModelFile("safetensors", metadata, tensors, data)


class _Gguf:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4

    def read(self) -> ModelFile:
        _, n_tensors, n_pairs = self._take("IQQ")
        metadata: dict[str, Any] = {}
        for _ in range(n_pairs):
            key = self._text()
            metadata[key] = self._value(*self._take("I"))
        infos = []
        for _ in range(n_tensors):
            name = self._text()
            (rank,) = self._take("I")
            shape = tuple(reversed(self._take(f"{rank}Q")))
            infos.append((name, shape, *self._take("IQ")))
        align = int(metadata.get("general.alignment", 32))
        start = -(-self._at // align) * align
        tensors = {
            name: Tensor(_GGUF_DTYPES.get(kind, f"type {kind}"), shape, start + at, _gguf_size(kind, shape))
            for name, shape, kind, at in infos
        }
        return ModelFile("gguf", metadata, tensors, self._data)

    def _take(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from("<" + layout, self._data, self._at)
        self._at += struct.calcsize("<" + layout)
        return found

    def _text(self) -> str:
        (length,) = self._take("Q")
        self._at += length
        return self._data[self._at - length : self._at].decode("utf-8", "replace")

    def _value(self, kind: int) -> Any:
        if kind == 8:
            return self._text()
        if kind == 9:
            item, length = self._take("IQ")
            return [self._value(item) for _ in range(length)]
        return self._take(_GGUF_SCALARS[kind])[0]


def _gguf_size(kind: int, shape: tuple[int, ...]) -> int:
    dtype, count = _GGUF_DTYPES.get(kind, ""), math.prod(shape)
    if dtype in _BLOCKS:
        per_block, size = _BLOCKS[dtype]
        return -(-count // per_block) * size
    return count * (2 if dtype == "BF16" else _FLOATS.get(dtype, ("", 1))[1])


def _decode(raw: bytes, dtype: str, count: int, width: int) -> list[float]:
    if dtype in _FLOATS:
        return list(struct.unpack(f"<{count}{_FLOATS[dtype][0]}", raw))
    if dtype == "BF16":  # the upper half of a float32
        return [struct.unpack("<f", b"\0\0" + raw[2 * i : 2 * i + 2])[0] for i in range(count)]
    if dtype == "APR_Q8":  # one scale for the tensor
        (scale,) = struct.unpack_from("<f", raw)
        return [scale * code for code in struct.unpack_from(f"<{count}b", raw, 4)]
    if dtype == "APR_Q4":
        return [value for at in range(0, len(raw), 18) for value in _nibbles_in_turn(raw[at : at + 18])][:count]
    if dtype not in _BLOCKS:
        raise UnreadableError(f"{dtype} is not known here")
    per_block, size = _BLOCKS[dtype]
    decode = {"Q4_0": _q4_0, "Q8_0": _q8_0, "Q4_K": _q4_k, "Q6_K": _q6_k}[dtype]
    flat = [value for at in range(0, len(raw), size) for value in decode(raw[at : at + size])]
    if len(flat) >= count + per_block and count % width == 0:  # each row is padded to whole blocks
        padded = -(-width // per_block) * per_block
        flat = [value for row in range(count // width) for value in flat[row * padded : row * padded + width]]
    return flat[:count]


def _nibbles_in_turn(block: bytes) -> list[float]:
    (scale,) = struct.unpack_from("<e", block)
    return [scale * (code - 8) for byte in block[2:] for code in (byte & 15, byte >> 4)]


def _q4_0(block: bytes) -> list[float]:
    (scale,) = struct.unpack_from("<e", block)
    return [scale * ((byte & 15) - 8) for byte in block[2:]] + [scale * ((byte >> 4) - 8) for byte in block[2:]]


def _q8_0(block: bytes) -> list[float]:
    (scale,) = struct.unpack_from("<e", block)
    return [scale * code for code in struct.unpack_from("<32b", block, 2)]


def _q4_k(block: bytes) -> list[float]:
    scale, least = struct.unpack_from("<ee", block)
    packed, codes = block[4:16], block[16:]
    found: list[float] = []
    for part in range(8):
        if part < 4:
            d, m = packed[part] & 63, packed[part + 4] & 63
        else:
            d = (packed[part + 4] & 15) | ((packed[part - 4] >> 6) << 4)
            m = (packed[part + 4] >> 4) | ((packed[part] >> 6) << 4)
        half = codes[32 * (part // 2) : 32 * (part // 2) + 32]
        found += [scale * d * ((byte >> 4) if part % 2 else (byte & 15)) - least * m for byte in half]
    return found


def _q6_k(block: bytes) -> list[float]:
    low, high, scales = block[:128], block[128:192], struct.unpack_from("<16b", block, 192)
    (scale,) = struct.unpack_from("<e", block, 208)
    found = []
    for at in range(256):
        half, rest = divmod(at, 128)
        quarter, place = divmod(rest, 32)
        byte = low[64 * half + place + 32 * (quarter % 2)]
        code = (byte >> 4 if quarter > 1 else byte & 15) | (((high[32 * half + place] >> (2 * quarter)) & 3) << 4)
        found.append(scale * scales[at // 16] * (code - 32))
    return found
