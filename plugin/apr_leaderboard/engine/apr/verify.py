"""Opens what `apr` wrote and holds it against what it was made from.

What makes a checkpoint unusable or wrong is an `EngineOutputError`; what is merely not as asked is a `Finding`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from apr_leaderboard.engine.apr.apr_format import AprFile, AprFormatError, TensorEntry, read_apr, tensor_values
from apr_leaderboard.engine.apr.sources import SourceFormatError, SourceTensor, read_source, source_values
from apr_leaderboard.engine.jobs import Checkpoint
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import Finding

__all__ = [
    "Written",
    "open_checkpoint",
    "repeats_embedding",
    "tokenizer_findings",
    "verify_import",
    "verify_same_layout",
]

_HEADS: Final = frozenset({"lm_head.weight", "output.weight"})
"""A tied model's output matrix is the embedding; writing it a second time, or not, changes nothing."""
_EMBEDDINGS: Final = ("model.embed_tokens.weight", "token_embd.weight")
_FLOATS: Final = ("F32", "F16", "BF16", "F64")


@dataclass(frozen=True)
class Written:
    """A checkpoint that was opened, and the command that wrote it."""

    file: AprFile
    command: tuple[str, ...]

    def wrong(self, problem: str) -> EngineOutputError:
        """The error for `problem` in this file."""
        return EngineOutputError("apr", f"{self.file.path.name}: {problem}", command=self.command)

    @property
    def shown_by(self) -> str:
        """A command that shows the tensor table."""
        return f"apr tensors {shlex.quote(str(self.file.path))}"


def open_checkpoint(path: Path, command: Sequence[str]) -> Written:
    """Open a .apr file: header, index, sizes against dtype and shape, finite values, a tokenizer. Raises on each."""
    try:
        written = Written(read_apr(path), tuple(command))
    except FileNotFoundError:
        raise EngineOutputError("apr", f"reported success but wrote no {path.name}", command=command) from None
    except AprFormatError as error:
        raise EngineOutputError("apr", f"{path.name}: {error}", command=command) from error
    if not written.file.tensors:
        raise written.wrong("holds no tensors")
    for entry in written.file.tensors.values():
        allowed = entry.expected_sizes()
        if allowed and entry.size not in allowed:
            raise written.wrong(
                f"tensor {entry.name}: {entry.size} bytes, but {entry.dtype} {list(entry.shape)} takes {allowed[0]}"
            )
        values = tensor_values(written.file, entry.name)
        if values is not None and not bool(np.isfinite(values).all()):
            raise written.wrong(f"tensor {entry.name}: {int((~np.isfinite(values)).sum())} values are not finite")
    return written


def verify_import(written: Written, source: Checkpoint, *, half: bool) -> list[Finding]:
    """Hold an imported checkpoint against its source. Raises `EngineOutputError` where it is a different model."""
    try:
        tensors = read_source(source)
    except SourceFormatError as error:
        return [Finding(code="source-not-compared", message=f"the source could not be read for comparison: {error}")]
    findings = tokenizer_findings(written)
    if source.format == "gguf":
        _same_element_counts(written, tensors)
        findings += _widened(written, source, tensors)
        return findings
    _same_names_and_shapes(written, {name: tensor.shape for name, tensor in tensors.items()})
    tolerance = 1e-3 if half else 0.0
    for name, tensor in tensors.items():
        _same_values(written, name, tensor, tolerance)
    expected = {"F16"} if half else {tensor.dtype for tensor in tensors.values()}
    got = {entry.dtype for entry in written.file.tensors.values()}
    if got - expected:
        findings.append(
            Finding(
                code="dtype-changed",
                message=f"stored as {', '.join(sorted(got))} where {', '.join(sorted(expected))} was asked for",
                command=written.shown_by,
            )
        )
    return findings


def verify_same_layout(written: Written, base: AprFile) -> None:
    """A merged checkpoint must hold its base's tensors with the same shapes. Raises `EngineOutputError`."""
    _same_names_and_shapes(written, {name: entry.shape for name, entry in base.tensors.items()})


def repeats_embedding(file: AprFile, head: str) -> bool:
    """Whether a tensor is the embedding once more: the same bytes, or the same values in another type of float."""
    for other in (file.tensors[name] for name in _EMBEDDINGS if name in file.tensors):
        if other.dtype == file.tensors[head].dtype:
            same = _raw(file, other) == _raw(file, file.tensors[head])
        else:
            one, two = tensor_values(file, head), tensor_values(file, other.name)
            same = one is not None and two is not None and np.array_equal(one, two)
        if same:
            return True
    return False


def tokenizer_findings(written: Written) -> list[Finding]:
    """A finding where the embedded tokenizer is missing or has no merges."""
    if written.file.vocabulary_size and written.file.has_merges:
        return []
    missing = "merges" if written.file.vocabulary_size else "vocabulary"
    return [
        Finding(
            code="tokenizer-dropped",
            message=f"the checkpoint has no tokenizer {missing}; prompts cannot be encoded as the model was trained",
            command=written.shown_by,
        )
    ]


def _raw(file: AprFile, entry: TensorEntry) -> tuple[tuple[int, ...], bytes]:
    with file.path.open("rb") as stream:
        stream.seek(entry.offset)
        return entry.shape, stream.read(entry.size)


def _same_names_and_shapes(written: Written, expected: Mapping[str, tuple[int, ...]]) -> None:
    got = written.file.tensors
    missing = sorted(set(expected) - set(got))
    heads = {head for head in _HEADS & set(got) if repeats_embedding(written.file, head)}
    extra = sorted(set(got) - set(expected) - heads)
    if missing or extra:
        raise written.wrong(f"tensors missing: {missing[:3]}, unexpected: {extra[:3]}")
    for name, shape in expected.items():
        if got[name].shape != tuple(shape):
            raise written.wrong(f"tensor {name}: shape {list(got[name].shape)} where the source has {list(shape)}")


def _same_values(written: Written, name: str, tensor: SourceTensor, tolerance: float) -> None:
    before, after = source_values(tensor), tensor_values(written.file, name)
    if before is None or after is None:
        return
    scale = max(float(np.abs(before).max(initial=0.0)), 1e-6)
    worst = float(np.abs(before - after).max(initial=0.0))
    if worst > tolerance * scale:
        raise written.wrong(f"tensor {name}: values differ from the source's by up to {worst:.3g}")


def _same_element_counts(written: Written, tensors: Mapping[str, SourceTensor]) -> None:
    # Names are translated on the way from GGUF, so the numbers of values are compared, as multisets.
    heads = _HEADS & set(written.file.tensors)
    tied = not _HEADS & set(tensors) and all(repeats_embedding(written.file, head) for head in heads)
    left_out = heads if tied else frozenset()
    got = sorted(entry.n_values for name, entry in written.file.tensors.items() if name not in left_out)
    expected = sorted(tensor.n_values for tensor in tensors.values())
    if got != expected:
        raise written.wrong(
            f"{len(got)} tensors with {sum(got)} values where the source has {len(expected)} with {sum(expected)}"
        )


def _widened(written: Written, source: Checkpoint, tensors: Mapping[str, SourceTensor]) -> list[Finding]:
    was_quantised = any(tensor.dtype not in _FLOATS for tensor in tensors.values())
    now_floats = all(entry.dtype in _FLOATS for entry in written.file.tensors.values())
    if not (was_quantised and now_floats):
        return []
    before, after = source.path.stat().st_size, written.file.path.stat().st_size
    return [
        Finding(
            code="import-dequantised",
            message=f"quantised tensors are stored as floats: {before} bytes became {after}",
            command=shlex.join(written.command),
        )
    ]
