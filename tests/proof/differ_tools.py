"""Programs that stand in for `apr`, and files made by hand, for the tests of differential testing."""

from __future__ import annotations

import json
import struct
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_CODES = {"F32": 0, "F16": 1, "APR_Q4": 8, "APR_Q8": 9, "Q4_K": 12, "Q6_K": 14, "BF16": 30}

IMPORTS_TOKENIZERS = """
import json, pathlib, sys
if "--version" in sys.argv:
    print("apr 9.9.9"); raise SystemExit
source, target = (sys.argv[sys.argv.index(flag) + 1] for flag in ("--input", "--output"))
raw = json.loads(pathlib.Path(source).read_text())
vocabulary, merges = raw["model"]["vocab"], raw["model"]["merges"]
if "--include-added-tokens" in sys.argv:
    vocabulary |= {token["content"]: token["id"] for token in raw["added_tokens"]}
SABOTAGE
folder = pathlib.Path(target); folder.mkdir()
(folder / "vocab.json").write_text(json.dumps(vocabulary))
print(json.dumps({"effective_vocab_count": len(vocabulary), "merges_count": len(merges)}))
"""
"""A program that does `tokenize import-hf` as it should; SABOTAGE is a line to put in its way."""


def write_program(path: Path, source: str, sabotage: str = "") -> Path:
    """An executable Python script."""
    path.write_text(f"#!{sys.executable} -S\n{source.replace('SABOTAGE', sabotage)}", encoding="utf-8")
    path.chmod(0o755)
    return path


def write_apr(path: Path, tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]], **metadata: Any) -> Path:
    """A .apr file: name -> (dtype, shape, data)."""
    meta = json.dumps(metadata).encode()
    index, data = b"", b""
    for name, (dtype, shape, raw) in tensors.items():
        encoded = name.encode()
        index += struct.pack("<H", len(encoded)) + encoded + struct.pack("<BB", _CODES[dtype], len(shape))
        index += struct.pack(f"<{len(shape)}QQQ", *shape, len(data), len(raw))
        data += raw + b"\0" * (-len(raw) % 64)
    at = 64 + len(meta)
    head = struct.pack("<4sBBHIQIQQ", b"APR\0", 2, 0, 0, len(tensors), 64, len(meta), at, at + len(index))
    path.write_bytes(head + struct.pack("<I", zlib.crc32(head + b"\0" * 20)) + b"\0" * 20 + meta + index + data)
    return path


def plain_apr(path: Path, tensors: Mapping[str, Any], **metadata: Any) -> Path:
    """A .apr file of float32 tensors."""
    raw = {name: ("F32", np.shape(v), np.asarray(v, "<f4").tobytes()) for name, v in tensors.items()}
    return write_apr(path, raw, **metadata)
