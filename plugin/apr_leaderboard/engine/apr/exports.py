"""Opens an exported checkpoint and holds it against the .apr file it was made from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from apr_leaderboard.engine.apr.apr_format import AprFile, read_apr, tensor_values
from apr_leaderboard.engine.apr.argv import shell_line
from apr_leaderboard.engine.apr.sources import SourceTensor, read_source, source_values
from apr_leaderboard.engine.apr.verify import repeats_embedding
from apr_leaderboard.engine.jobs import Checkpoint, ExportJob
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import Finding

__all__ = ["config_mismatches", "verify_export"]

_HEAD: Final = "lm_head.weight"
_CONFIG_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "hidden_size": "hidden_size",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "num_key_value_heads": "num_kv_heads",
        "intermediate_size": "intermediate_size",
        "vocab_size": "vocab_size",
        "rope_theta": "rope_theta",
        "rms_norm_eps": "rms_norm_eps",
        "tie_word_embeddings": "tied_embeddings",
    }
)
"""Key of config.json: key of .apr metadata. Each of them changes what the model computes."""


def verify_export(job: ExportJob, target: Path, argv: Sequence[str]) -> list[Finding]:
    """Same tensors, same values, a config that says the same model, a tokenizer.

    Raises `EngineOutputError` where the export is torn or is a different model; what can be put beside it by hand
    (a tokenizer) is a finding.
    """
    exported: Checkpoint = Checkpoint(target, job.format)
    try:
        tensors = read_source(exported)
        base = read_apr(job.model.path) if job.model.format == "apr" else None
    except (OSError, ValueError) as error:
        raise EngineOutputError("apr", f"the export cannot be read: {error}", command=argv) from error
    if not tensors:
        raise EngineOutputError("apr", "the export holds no tensors", command=argv)
    if base is None:
        return []
    if job.format == "gguf":
        _same_count(tensors, base, argv)
        return []
    _same_tensors(tensors, base, argv)
    folder = target.parent
    _same_config(folder / "config.json", base, argv)
    if (folder / "tokenizer.json").is_file():
        return []
    message = "the exported folder has no tokenizer.json, though the checkpoint holds a tokenizer"
    return [Finding(code="tokenizer-dropped", message=message, command=shell_line(tuple(argv)))]


def config_mismatches(config: Mapping[str, Any], metadata: Mapping[str, Any]) -> list[str]:
    """Where an exported config.json contradicts the checkpoint's own metadata, one phrase each."""
    wrong = []
    for key, own in _CONFIG_KEYS.items():
        got, expected = config.get(key), metadata.get(own)
        if expected is None:
            continue
        same = got == expected
        if isinstance(got, (int, float)) and isinstance(expected, (int, float)):
            same = math.isclose(got, expected, rel_tol=1e-6)
        if not same:
            wrong.append(f"{key} {got} where the checkpoint has {expected}")
    return wrong


def _same_config(path: Path, base: AprFile, argv: Sequence[str]) -> None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineOutputError("apr", f"the export's config.json cannot be read: {error}", command=argv) from error
    wrong = config_mismatches(config, base.metadata)
    if wrong:
        message = f"the export's config.json is of another model: {'; '.join(wrong)}"
        raise EngineOutputError("apr", message, command=argv)


def _is_tied(base: AprFile) -> bool:
    return _HEAD in base.tensors and repeats_embedding(base, _HEAD)


def _same_tensors(tensors: Mapping[str, SourceTensor], base: AprFile, argv: Sequence[str]) -> None:
    tied = {_HEAD} if _is_tied(base) else set()
    if missing := sorted(set(base.tensors) - set(tensors) - tied):
        raise EngineOutputError("apr", f"the export lacks {len(missing)} tensors: {missing[:3]}", command=argv)
    for name, tensor in tensors.items():
        entry = base.tensors.get(name)
        if entry is None or entry.shape != tensor.shape:
            raise EngineOutputError(
                "apr", f"the export's tensor {name} {list(tensor.shape)} is not its own", command=argv
            )
        before, after = tensor_values(base, name), source_values(tensor)
        if before is not None and after is not None and not np.array_equal(before, after):
            raise EngineOutputError("apr", f"the export's tensor {name} has other values", command=argv)


def _same_count(tensors: Mapping[str, SourceTensor], base: AprFile, argv: Sequence[str]) -> None:
    # Names are translated on the way to GGUF: the numbers of values are compared. A tied head may be left out.
    got = sorted(tensor.n_values for tensor in tensors.values())
    expected = sorted(entry.n_values for entry in base.tensors.values())
    allowed = [expected]
    if _is_tied(base):
        without = list(expected)
        without.remove(base.tensors[_HEAD].n_values)
        allowed.append(without)
    if got not in allowed:
        message = (
            f"the export has {len(got)} tensors with {sum(got)} values, its source {len(expected)} with {sum(expected)}"
        )
        raise EngineOutputError("apr", message, command=argv)
