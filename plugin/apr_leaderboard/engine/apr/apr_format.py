"""Reads .apr files, to see what `apr` wrote rather than what it says it wrote.

Layout, little-endian throughout, from crate `apr-format` 0.72.3 (`src/v2/header_impl.rs`, `tensor_index_impl.rs`)
and from files written by the program:

- header, 64 bytes: magic `APR\\0`, version (2 x u8), flags u16, tensor count u32, metadata offset u64 and size u32,
  index offset u64, data offset u64, CRC-32 of the header without this field u32, zeros;
- metadata: one JSON object; index: per tensor name (u16 length + UTF-8), dtype u8, rank u8, dims u64 each,
  offset u64 relative to the data, size u64 in bytes; data: tensors, each at a multiple of 64.
"""

from __future__ import annotations

import json
import math
import mmap
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "AprFile",
    "AprFormatError",
    "TensorEntry",
    "decode_floats",
    "read_apr",
    "tensor_values",
]

_MAGIC: Final = b"APR\0"
_HEADER: Final = struct.Struct("<4sBBHIQIQQI")
_HEADER_SIZE: Final = 64
_CRC_AT: Final = 40

_DTYPES: Final[Mapping[int, str]] = MappingProxyType(
    {0: "F32", 1: "F16", 3: "F64", 4: "I32", 5: "I64", 6: "I8", 7: "U8", 8: "APR_Q4", 9: "APR_Q8", 12: "Q4_K",
     14: "Q6_K", 30: "BF16", 128: "APR_Q4", 129: "APR_Q8"}
)  # fmt: skip
_ITEM_BYTES: Final[Mapping[str, int]] = MappingProxyType(
    {"F32": 4, "F16": 2, "F64": 8, "I32": 4, "I64": 8, "I8": 1, "U8": 1, "BF16": 2}
)
_BLOCKS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType({"Q4_K": (256, 144), "Q6_K": (256, 210)})
"""dtype: (values per block, bytes per block), as in ggml."""


class AprFormatError(ValueError):
    """The file is not what the layout says; the message tells where."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of the index; `offset` is absolute, both it and `size` in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int

    @property
    def n_values(self) -> int:
        """How many numbers the shape holds."""
        return math.prod(self.shape)

    def expected_sizes(self) -> tuple[int, ...]:
        """The sizes in bytes that dtype and shape allow; empty where the dtype's packing is not known."""
        if self.dtype in _ITEM_BYTES:
            return (self.n_values * _ITEM_BYTES[self.dtype],)
        if self.dtype in _BLOCKS:
            per_block, block_bytes = _BLOCKS[self.dtype]
            rows, last = (math.prod(self.shape[:-1]), self.shape[-1]) if self.shape else (1, 1)
            # Blocks may be cut row by row (each row padded) or along the whole tensor.
            return (rows * -(-last // per_block) * block_bytes, -(-self.n_values // per_block) * block_bytes)
        if self.dtype == "APR_Q8":
            return (4 + self.n_values,)
        if self.dtype == "APR_Q4":
            return (-(-self.n_values // 32) * 18,)
        return ()


@dataclass(frozen=True)
class AprFile:
    """Header, metadata and tensor index of one file."""

    path: Path
    version: tuple[int, int]
    flags: int
    metadata: Mapping[str, Any]
    tensors: Mapping[str, TensorEntry]

    @property
    def vocabulary_size(self) -> int:
        """Tokens in the embedded tokenizer; 0 where there is none."""
        vocabulary = self.metadata.get("tokenizer.vocabulary")
        return len(vocabulary) if isinstance(vocabulary, list) else 0

    @property
    def has_merges(self) -> bool:
        """Whether the embedded tokenizer has BPE merges, without which it cannot encode as the model was trained."""
        return bool(self.metadata.get("tokenizer.merges"))


def read_apr(path: Path) -> AprFile:
    """Header, metadata and index, each checked against the file's size. Raises `AprFormatError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(_HEADER_SIZE)
        if len(raw) < _HEADER_SIZE:
            raise AprFormatError(f"{size} bytes are too few for the 64 byte header")
        magic, major, minor, flags, count, meta_at, meta_size, index_at, data_at, crc = _HEADER.unpack_from(raw)
        if magic != _MAGIC:
            raise AprFormatError(f"magic {magic!r} where {_MAGIC!r} is due")
        if zlib.crc32(raw[:_CRC_AT] + raw[_CRC_AT + 4 :]) != crc:
            raise AprFormatError("header checksum does not match")
        if not _HEADER_SIZE <= meta_at <= meta_at + meta_size <= index_at <= data_at <= size:
            raise AprFormatError(f"sections out of order or beyond the {size} bytes of the file")
        file.seek(meta_at)
        metadata = _parse_metadata(file.read(meta_size))
        file.seek(index_at)
        tensors = _parse_index(file.read(data_at - index_at), count, data_at, size)
    return AprFile(path, (major, minor), flags, MappingProxyType(metadata), MappingProxyType(tensors))


def tensor_values(file: AprFile, name: str) -> npt.NDArray[np.float32] | None:
    """The tensor as float32, shape as in the index; None where its dtype is not a plain float."""
    entry = file.tensors[name]
    if entry.dtype not in ("F32", "F16", "BF16", "F64"):
        return None
    with file.path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as view:
        data = view[entry.offset : entry.offset + entry.size]
    return decode_floats(data, entry.dtype).reshape(entry.shape)


def decode_floats(data: bytes, dtype: str) -> npt.NDArray[np.float32]:
    """Little-endian F32, F16, F64 or BF16 as a flat float32 array."""
    if dtype == "BF16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    kind = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}[dtype]
    return np.frombuffer(data, kind).astype(np.float32)


def _parse_metadata(raw: bytes) -> dict[str, Any]:
    try:
        metadata = json.loads(raw)
    except ValueError as error:
        raise AprFormatError(f"metadata is not JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise AprFormatError(f"metadata is {type(metadata).__name__}, not an object")
    return metadata


def _parse_index(raw: bytes, count: int, data_at: int, file_size: int) -> dict[str, TensorEntry]:
    tensors: dict[str, TensorEntry] = {}
    at = 0
    try:
        for _ in range(count):
            (length,) = struct.unpack_from("<H", raw, at)
            name = raw[at + 2 : at + 2 + length].decode("utf-8")
            at += 2 + length
            dtype, rank = struct.unpack_from("<BB", raw, at)
            *shape, offset, size = struct.unpack_from(f"<{rank}QQQ", raw, at + 2)
            at += 2 + 8 * (rank + 2)
            if dtype not in _DTYPES:
                raise AprFormatError(f"tensor {name}: unknown dtype {dtype}")
            if not name or name in tensors:
                raise AprFormatError(f"tensor {name!r}: nameless, or twice in the index")
            if data_at + offset + size > file_size:
                raise AprFormatError(f"tensor {name}: ends beyond the {file_size} bytes of the file")
            tensors[name] = TensorEntry(name, _DTYPES[dtype], tuple(shape), data_at + offset, size)
    except (struct.error, UnicodeDecodeError) as error:
        raise AprFormatError(f"tensor index is torn after {len(tensors)} of {count} entries: {error}") from error
    return tensors
