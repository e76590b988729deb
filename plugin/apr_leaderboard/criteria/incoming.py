"""What came in beside what an import left of it, tensor by tensor, also where both call them by different names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from apr_leaderboard.criteria.weighing import largest_gap
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.weights import read_tensors

__all__ = ["import_gap"]

Values = NDArray[np.float32]
_EMBEDDING, _OUTPUT = "model.embed_tokens.weight", "lm_head.weight"


def import_gap(source: Made, imported: Made) -> tuple[float, str, int]:
    """The largest gap as `largest_gap` has it, where, and how many tensors were looked at: all of the source.

    Raises `Refuted` for one that the import left out, `HarnessError` for a source that holds none, `NotHere` for a GGUF
    file of an architecture without a table.
    """
    got, want = read_tensors(imported.checkpoint), read_tensors(source.checkpoint)
    if not want:
        raise HarnessError(f"{source.folder}: holds no tensor to compare")
    if source.checkpoint is not None and source.checkpoint.format == "gguf":
        want = _by_other_names(source.checkpoint, want, got)
    if _OUTPUT in want and _OUTPUT not in got and _EMBEDDING in got:  # left out because the two are one
        got[_OUTPUT] = got[_EMBEDDING]
    missing = [name for name in want if name not in got]
    if missing:
        raise Refuted(f"{len(missing)} of {len(want)} tensors are not in the import, such as {missing[0]}")
    count, worst, where = len(want), 0.0, ""
    for name in sorted(want):
        gap, _ = largest_gap({name: got[name].astype(np.float64)}, {name: want.pop(name).astype(np.float64)})
        if not gap <= worst:
            worst, where = gap, name
    return worst, where, count


def _by_other_names(checkpoint: Checkpoint, want: dict[str, Values], got: Mapping[str, Values]) -> dict[str, Values]:
    """A GGUF file's tensors by the names of the Hugging Face layout, from the table of the gguf package."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    from apr_leaderboard.engine.reference.gguf_file import GgufFile

    metadata = GgufFile(checkpoint.path).metadata
    architecture = metadata.get("general.architecture")
    known = [key for key, name in MODEL_ARCH_NAMES.items() if name == architecture]
    if not known:
        raise NotHere(f"needs the names of the tensors of {architecture}, which the gguf package does not have")
    table = get_tensor_name_map(known[0], int(metadata[f"{architecture}.block_count"]))
    names = {table.get_name(name, try_suffixes=(".weight", ".bias")): name for name in (*got, _OUTPUT)}
    turned = _turned(architecture, metadata)
    return {names.get(name) or name: turned(name, values) for name, values in want.items() if name != _FACTORS}


_FACTORS = "rope_freqs.weight"
"""No weight: the table of angles that some converters write out."""


def _turned(architecture: object, metadata: Mapping[str, object]) -> Callable[[str, Values], Values]:
    """Undo the order in which llama.cpp's converter puts the rows of q and k of that one architecture.

    It writes the two halves of each head in turns (convert_hf_to_gguf.py, LlamaModel.permute).
    """
    if architecture != "llama":
        return lambda name, values: values
    heads = {"attn_q.weight": "head_count", "attn_k.weight": "head_count_kv"}

    def turned(name: str, values: Values) -> Values:
        key = heads.get(name.partition(".")[2].partition(".")[2])
        if key is None:
            return values
        count = int(str(metadata[f"llama.attention.{key}"]))
        rows = values.reshape(count, values.shape[0] // count // 2, 2, *values.shape[1:])
        return np.ascontiguousarray(rows.swapaxes(1, 2)).reshape(values.shape)

    return turned
