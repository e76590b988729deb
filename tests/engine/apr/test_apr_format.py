"""The .apr reader: what it reads, and every way a file can be broken."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.engine.apr.apr_format import AprFormatError, read_apr, tensor_values
from apr_leaderboard.engine.apr.verify import open_checkpoint, verify_import
from apr_leaderboard.errors import EngineOutputError

_Build = Callable[..., bytes]
_VALUES = np.arange(6, dtype=np.float32).reshape(2, 3)
_EMBEDDING = "model.embed_tokens.weight"


def _write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _good(build: _Build) -> bytes:
    return build({"a.weight": ("F32", (2, 3), _VALUES.tobytes()), "b": ("F16", (2,), b"\0\x3c\0\xc0")})


def test_read_apr_gives_tensors_metadata_and_tokenizer(tmp_path: Path, apr_bytes: _Build) -> None:
    """Shapes, dtypes, values and the embedded tokenizer come out as they went in."""
    file = read_apr(_write(tmp_path / "m.apr", _good(apr_bytes)))
    assert file.version == (2, 0)
    assert (file.vocabulary_size, file.has_merges) == (2, True)
    assert {name: (entry.dtype, entry.shape) for name, entry in file.tensors.items()} == {
        "a.weight": ("F32", (2, 3)),
        "b": ("F16", (2,)),
    }
    values = tensor_values(file, "a.weight")
    assert values is not None
    assert np.array_equal(values, _VALUES)
    half = tensor_values(file, "b")
    assert half is not None
    assert half.tolist() == [1.0, -2.0]


def test_read_apr_bfloat16_is_the_upper_half_of_float32(tmp_path: Path, apr_bytes: _Build) -> None:
    """bf16 1.0 is 0x3F80."""
    file = read_apr(_write(tmp_path / "m.apr", apr_bytes({"x": ("BF16", (1,), b"\x80\x3f")})))
    values = tensor_values(file, "x")
    assert values is not None
    assert values.tolist() == [1.0]


def _with_crc(data: bytearray) -> bytes:
    data[40:44] = zlib.crc32(bytes(data[:40]) + bytes(data[44:64])).to_bytes(4, "little")
    return bytes(data)


def _broken(data: bytes, kind: str) -> bytes:
    raw = bytearray(data)
    if kind == "empty":
        return b""
    if kind == "magic":
        raw[:4] = b"GGUF"
    elif kind == "header":
        raw[8] ^= 1
    elif kind == "count":
        raw[8] += 1
        return _with_crc(raw)
    elif kind == "metadata":
        raw[64:70] = b"{{{{{{"
    elif kind == "offset":
        raw[32:40] = (10**9).to_bytes(8, "little")
        return _with_crc(raw)
    elif kind == "cut":
        return bytes(raw[:-64])
    return bytes(raw)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("empty", "too few"),
        ("magic", "magic"),
        ("header", "checksum"),
        ("count", "nameless"),
        ("metadata", "not JSON"),
        ("offset", "out of order"),
        ("cut", "ends beyond"),
    ],
)
def test_read_apr_broken_file_says_where(tmp_path: Path, apr_bytes: _Build, kind: str, words: str) -> None:
    """Each kind of damage is told apart, and none gets through."""
    with pytest.raises(AprFormatError, match=words):
        read_apr(_write(tmp_path / "m.apr", _broken(_good(apr_bytes), kind)))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 600), st.integers(1, 255)), max_size=4))
def test_read_apr_any_damage_is_a_format_error_or_reads(
    tmp_path: Path, apr_bytes: _Build, cut: int, flips: list[tuple[int, int]]
) -> None:
    """No damaged file makes the reader fail in any other way."""
    raw = bytearray(_good(apr_bytes))
    for at, mask in flips:
        if at < len(raw):
            raw[at] ^= mask
    try:
        read_apr(_write(tmp_path / "m.apr", bytes(raw[: len(raw) - cut])))
    except AprFormatError:
        return


def test_open_checkpoint_missing_file_is_an_output_error(tmp_path: Path) -> None:
    """A success line without a file is no success."""
    with pytest.raises(EngineOutputError, match=r"wrote no m\.apr"):
        open_checkpoint(tmp_path / "m.apr", ("apr", "import"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_open_checkpoint_value_that_is_not_finite_is_an_output_error(
    tmp_path: Path, apr_bytes: _Build, value: float
) -> None:
    """One bad weight in the file is found."""
    bad = _VALUES.copy()
    bad[1, 2] = value
    path = _write(tmp_path / "m.apr", apr_bytes({"w": ("F32", (2, 3), bad.tobytes())}))
    with pytest.raises(EngineOutputError, match="tensor w: 1 values are not finite"):
        open_checkpoint(path, ())


def test_open_checkpoint_dtype_that_does_not_fit_the_bytes_is_an_output_error(
    tmp_path: Path, apr_bytes: _Build
) -> None:
    """Q5_0 blocks under the code of I8 (what `apr import --preserve-q4k` of 0.72.3 writes) do not pass for I8."""
    path = _write(tmp_path / "m.apr", apr_bytes({"w": ("I8", (2, 32), bytes(2 * 22))}))
    with pytest.raises(EngineOutputError, match=r"44 bytes, but I8 \[2, 32\] takes 64"):
        open_checkpoint(path, ())


def test_open_checkpoint_quantised_blocks_of_the_right_size_pass(tmp_path: Path, apr_bytes: _Build) -> None:
    """Q4_K takes 144 bytes for each 256 values."""
    path = _write(tmp_path / "m.apr", apr_bytes({"w": ("Q4_K", (2, 256), bytes(288))}))
    assert open_checkpoint(path, ()).file.tensors["w"].n_values == 512


def _source(tmp_path: Path, tensors: dict[str, np.ndarray]) -> Checkpoint:  # type: ignore[type-arg]
    numpy_io = pytest.importorskip("safetensors.numpy")
    folder = tmp_path / "hf"
    folder.mkdir()
    numpy_io.save_file(tensors, str(folder / "model.safetensors"))
    return Checkpoint(folder, "hf")


def _written(tmp_path: Path, apr_bytes: _Build, tensors: dict[str, np.ndarray], **extra: object):  # type: ignore[no-untyped-def, type-arg]
    parts = {name: ("F32", value.shape, value.astype(np.float32).tobytes()) for name, value in tensors.items()}
    return open_checkpoint(_write(tmp_path / "m.apr", apr_bytes(parts, **extra)), ("apr", "import"))


def test_verify_import_same_tensors_pass_without_findings(tmp_path: Path, apr_bytes: _Build) -> None:
    """A faithful import has nothing to report; a tied head written out is allowed."""
    written = _written(tmp_path, apr_bytes, {_EMBEDDING: _VALUES, "lm_head.weight": _VALUES})
    assert verify_import(written, _source(tmp_path, {_EMBEDDING: _VALUES}), half=False) == []


def test_verify_import_head_that_is_not_the_embedding_is_an_output_error(tmp_path: Path, apr_bytes: _Build) -> None:
    """An output matrix the source has not is another model, unless it is the embedding once more."""
    written = _written(tmp_path, apr_bytes, {_EMBEDDING: _VALUES, "lm_head.weight": _VALUES + 1})
    with pytest.raises(EngineOutputError, match=r"unexpected: \['lm_head\.weight'\]"):
        verify_import(written, _source(tmp_path, {_EMBEDDING: _VALUES}), half=False)


@pytest.mark.parametrize(
    ("got", "words"),
    [
        ({"v": _VALUES}, r"missing: \['w'\], unexpected: \['v'\]"),
        ({"w": _VALUES, "x": _VALUES}, r"unexpected: \['x'\]"),
        ({"w": _VALUES.T}, r"shape \[3, 2\] where the source has \[2, 3\]"),
        ({"w": _VALUES + 1}, "differ from the source's by up to 1"),
    ],
    ids=["renamed", "extra", "transposed", "changed"],
)
def test_verify_import_other_tensors_are_an_output_error(
    tmp_path: Path,
    apr_bytes: _Build,
    got: dict[str, np.ndarray],  # type: ignore[type-arg]
    words: str,
) -> None:
    """A different model does not pass for the one that was to be imported."""
    written = _written(tmp_path, apr_bytes, got)
    with pytest.raises(EngineOutputError, match=words):
        verify_import(written, _source(tmp_path, {"w": _VALUES}), half=False)


@pytest.mark.parametrize(
    ("given", "got", "right"),
    [
        (["token_embd.weight"], {"token_embd.weight": 0, "lm_head.weight": 0}, True),
        (["token_embd.weight", "output.weight"], {"token_embd.weight": 0, "lm_head.weight": 1}, True),
        (["token_embd.weight", "output.weight"], {"token_embd.weight": 0}, False),
        (["token_embd.weight"], {"token_embd.weight": 0, "lm_head.weight": 1}, False),
        (["token_embd.weight", "x"], {"token_embd.weight": 0}, False),
    ],
    ids=["tied-head-written", "own-head", "own-head-lost", "head-invented", "one-lost"],
)
def test_verify_import_of_gguf_counts_every_tensor_s_values(
    tmp_path: Path,
    apr_bytes: _Build,
    gguf_file: Callable[..., Checkpoint],
    given: list[str],
    got: dict[str, int],
    right: bool,
) -> None:
    """Names are another layout's there; an output matrix may be more only where it is the embedding."""
    source = gguf_file(dict.fromkeys(given, _VALUES))
    written = _written(tmp_path, apr_bytes, {name: _VALUES + more for name, more in got.items()})
    if right:
        assert verify_import(written, source, half=False) == []
        return
    with pytest.raises(EngineOutputError, match="values where the source has"):
        verify_import(written, source, half=False)


def test_verify_import_without_tokenizer_is_a_finding(tmp_path: Path, apr_bytes: _Build) -> None:
    """A dropped tokenizer is reported with a command that shows it."""
    written = _written(tmp_path, apr_bytes, {"w": _VALUES}, metadata={"name": "m"})
    (finding,) = verify_import(written, _source(tmp_path, {"w": _VALUES}), half=False)
    assert finding.code == "tokenizer-dropped"
    assert finding.command.startswith("apr tensors ")


def test_verify_import_half_precision_that_stayed_float32_is_a_finding(tmp_path: Path, apr_bytes: _Build) -> None:
    """Asking for fp16 and getting F32 is reported."""
    written = _written(tmp_path, apr_bytes, {"w": _VALUES})
    (finding,) = verify_import(written, _source(tmp_path, {"w": _VALUES}), half=True)
    assert (finding.code, "F32" in finding.message) == ("dtype-changed", True)
