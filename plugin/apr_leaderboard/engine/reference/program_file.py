"""One file that answers prompts by itself: a Python archive with a shebang, holding weights, tokenizer and decoder.

It is no machine code: it needs Python and NumPy where it runs, and nothing else. The layout is that of the standard
library's `zipapp`, with nothing compressed; the same model gives the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from apr_leaderboard.engine.reference.chat import ChatRenderer
from apr_leaderboard.engine.reference.config import config_from_hf
from apr_leaderboard.engine.reference.tensors import HfFolder
from apr_leaderboard.engine.reference.tokenizer import QWEN2_SPLIT, TextCodec, codec_from_hf
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.model.generation import Message, Prompt

__all__ = ["write_program"]

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_MAIN: Final = """\
import sys
from pathlib import Path

from program.main import main

sys.exit(main(Path(__file__).parent))
"""
_SOURCES: Final = Path(__file__).with_name("program")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_MARK: Final = "\u27e6what is asked\u27e7"

Tell = Callable[[int, int], None]


def write_program(model: Path, target: Path, lineage: str, tell: Tell) -> None:
    """Write the program for a Hugging Face folder to `target`, executable.

    Raises EngineRefusedError for a tokenizer that the program's own cannot imitate.
    """
    folder = HfFolder(model)
    about = _about(model)
    with target.open("wb") as stream:
        stream.write(_SHEBANG)
        with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
            _put(archive, "__main__.py", _MAIN.encode())
            for source in sorted(_SOURCES.glob("*.py")):
                _put(archive, f"program/{source.name}", source.read_bytes())
            _put(archive, "model.json", json.dumps(about, ensure_ascii=False, sort_keys=True).encode())
            _put(archive, "lineage.json", lineage.encode())
            for done, name in enumerate(folder.specs, 1):
                _put(archive, f"weights/{name}.npy", _stored(folder, name))
                tell(done, len(folder.specs))
    target.chmod(0o755)


def _put(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # the same on every system
    archive.writestr(entry, data)


def _stored(folder: HfFolder, name: str) -> bytes:
    """A tensor as .npy in the type it has on disk; bfloat16, which NumPy lacks, as its 16 bits."""
    array, dtype = folder.read(name), folder.specs[name].dtype
    if dtype == "BF16":
        kept: Any = (np.ascontiguousarray(array).view(np.uint32) >> 16).astype(np.uint16)
    else:
        kept = array.astype(np.float16) if dtype == "F16" else array
    buffer = io.BytesIO()
    np.save(buffer, kept, allow_pickle=False)
    return buffer.getvalue()


def _about(model: Path) -> dict[str, Any]:
    config, codec = config_from_hf(model), codec_from_hf(model)
    told = ("n_layers", "n_heads", "n_kv_heads", "head_dim", "rope_theta", "norm_eps", "tie_embeddings", "qkv_bias")
    ends = sorted({*config.eos_ids, *codec.eos_ids})
    return {
        "shape": {name: getattr(config, name) for name in (*told, "context_length")},
        "tokenizer": _tokenizer(model / "tokenizer.json"),
        "chat": _chat(codec),
        "start": codec.encode("", special=True),
        "ends": ends,
    }


def _chat(codec: TextCodec) -> tuple[str, str] | None:
    """What the model's template writes before and after what is asked; None where it has none, or changes it."""
    if codec.chat_template is None:
        return None
    text = ChatRenderer(codec).render(Prompt(task_id="", messages=(Message(role="user", content=_MARK),)))
    before, found, after = text.partition(_MARK)
    return (before, after) if found and _MARK not in after else None


def _tokenizer(path: Path) -> dict[str, Any]:
    raw = json.loads(path.read_text(encoding="utf-8"))
    model, normalizer = raw["model"], raw.get("normalizer")
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise EngineRefusedError(
            "reference", f"compile: got a tokenizer of type {model.get('type')}; accepted: byte-level BPE"
        )
    if normalizer is not None and normalizer.get("type") != "NFC":
        raise EngineRefusedError(
            "reference", f"compile: got the normalizer {normalizer.get('type')}; accepted: NFC or none"
        )
    split, digits = _split(raw.get("pre_tokenizer") or {})
    tokens = [""] * (max(model["vocab"].values()) + 1)
    for token, i in model["vocab"].items():
        tokens[i] = token
    return {
        "tokens": tokens,
        "merges": [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"]],
        "added": {token["content"]: token["id"] for token in raw["added_tokens"]},
        "special": [token["id"] for token in raw["added_tokens"] if token["special"]],
        "split": split,
        "digits": digits,
        "nfc": normalizer is not None,
    }


def _split(raw: dict[str, Any]) -> tuple[str, bool]:
    """How words are cut (qwen2, gpt2), and whether each digit is cut out first."""
    parts = raw["pretokenizers"] if raw.get("type") == "Sequence" else [raw]
    digits = bool(parts) and parts[0].get("type") == "Digits" and bool(parts[0].get("individual_digits"))
    rest = parts[1:] if digits else parts
    if len(rest) == 1 and rest[0].get("type") == "ByteLevel" and rest[0].get("use_regex"):
        return "gpt2", digits
    pattern = rest[0].get("pattern", {}).get("Regex") if len(rest) == 2 and rest[0].get("type") == "Split" else None
    if pattern == QWEN2_SPLIT and not digits:
        return "qwen2", digits
    got = ", ".join(str(part.get("type")) for part in parts)
    raise EngineRefusedError(
        "reference", f"compile: got the word split {got}; accepted: those of Qwen2, SmolLM and GPT-2"
    )
