"""What looks at a program's output: its readers against the formats' own, and each kind of claim both ways."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from differ_tools import plain_apr, write_apr
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from apr_leaderboard.engine.apr.exits import EXIT_CODES, Verdict
from apr_leaderboard.engine.apr.surgery_models import decode_packed
from apr_leaderboard.proof.differ import claims, look, modelfile


def _random(*shape: int) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def _details(folder: Path, *told: Any) -> list[str]:
    return [one["detail"] for one in look.differences(folder, told)]


def test_refusals_are_the_exit_codes_by_which_the_engine_says_no() -> None:
    """The looker may not import the table, so it is held against it here."""
    assert {code for code, (verdict, _) in EXIT_CODES.items() if verdict is Verdict.REFUSED} == look.REFUSALS


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_safetensors_values_are_those_that_were_saved(tmp_path: Path, dtype: Any) -> None:
    """Whatever the width of the floats."""
    array = _random(3, 5).astype(dtype)
    save_file({"w": array}, tmp_path / "m.safetensors", metadata={"format": "pt"})
    model = modelfile.read_model(tmp_path / "m.safetensors")
    assert (model.kind, model.metadata) == ("safetensors", {"format": "pt"})
    assert model.values("w") == array.reshape(-1).tolist()


def test_bfloat16_is_the_upper_half_of_a_float(tmp_path: Path) -> None:
    """As .apr and SafeTensors store it."""
    array = _random(4)
    raw = (array.view(np.uint32) >> 16).astype("<u2").tobytes()
    write_apr(tmp_path / "m.apr", {"w": ("BF16", (4,), raw)})
    expected = (array.view(np.uint32) & 0xFFFF0000).view(np.float32)
    assert modelfile.read_model(tmp_path / "m.apr").values("w") == expected.tolist()


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "Q4_K", "Q6_K"])
def test_block_formats_decode_as_in_the_gguf_package(kind: str) -> None:
    """On bytes drawn at random, which reach every scale and code."""
    which = gguf.GGMLQuantizationType[kind]
    per_block, size = gguf.GGML_QUANT_SIZES[which]
    raw = np.random.default_rng(5).integers(0, 256, (3, size), np.uint8)
    halves = {"Q4_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208]}[kind]
    for at in halves:  # no scale that is not finite
        raw[:, at : at + 2] = np.frombuffer(np.float16(0.37).tobytes(), np.uint8)
    expected = gguf.quants.dequantize(raw, which).reshape(-1)
    got = modelfile._decode(raw.tobytes(), kind, 3 * per_block, per_block)
    assert np.allclose(got, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("kind", ["APR_Q4", "APR_Q8"])
def test_own_packings_decode_as_the_engine_reads_them(kind: str) -> None:
    """Two readers written apart."""
    raw = np.random.default_rng(6).integers(0, 256, 36 if kind == "APR_Q4" else 68, np.uint8)
    raw[:4] = np.frombuffer(np.float32(0.01).tobytes(), np.uint8)
    raw[18:20] = raw[:2] = np.frombuffer(np.float16(0.2).tobytes(), np.uint8) if kind == "APR_Q4" else raw[:2]
    expected = decode_packed(raw.tobytes(), kind, (64,))
    assert expected is not None
    assert np.allclose(modelfile._decode(raw.tobytes(), kind, 64, 64), expected, rtol=1e-6)


def test_rows_padded_to_whole_blocks_lose_their_padding() -> None:
    """Two rows of 100 values in blocks of 256."""
    raw = np.random.default_rng(7).integers(0, 256, (2, 144), np.uint8)
    raw[:, :4] = np.frombuffer(np.float16([0.1, 0.2]).tobytes(), np.uint8)
    whole = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType.Q4_K)
    got = modelfile._decode(raw.tobytes(), "Q4_K", 200, 100)
    assert np.allclose(got, whole[:, :100].reshape(-1), rtol=1e-6, atol=1e-7)


def test_gguf_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Metadata, names, shapes rows first, and values."""
    writer = gguf.GGUFWriter(tmp_path / "m.gguf", "qwen2")
    writer.add_block_count(3)
    writer.add_token_list(["a", "é"])
    writer.add_tensor("blk.0.attn_q.weight", _random(2, 3))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()
    model = modelfile.read_model(tmp_path / "m.gguf")
    assert model.metadata["qwen2.block_count"] == 3
    assert model.metadata["tokenizer.ggml.tokens"] == ["a", "é"]
    assert model.tensors["blk.0.attn_q.weight"].shape == (2, 3)
    assert model.values("blk.0.attn_q.weight") == _random(2, 3).reshape(-1).tolist()


@given(st.binary(max_size=200), st.sampled_from([b"APR\0", b"GGUF", b""]))
@settings(max_examples=100, deadline=None)
def test_torn_file_is_told_and_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bytes
) -> None:
    """Whatever a program leaves under a model's name."""
    path = tmp_path_factory.mktemp("torn") / "m.apr"
    path.write_bytes(magic + data)
    with suppress(modelfile.UnreadableError):
        assert modelfile.read_model(path).kind in ("apr", "gguf", "safetensors")


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda t: None, None),
        (lambda t: t.pop("a"), "tensor missing"),
        (lambda t: t.update(c=np.zeros(1)), "tensor unexpected"),
        (lambda t: t.update(a=np.zeros((3, 2))), "other shape"),
        (lambda t: t["a"].__setitem__((0, 1), 1.5), "other values"),
        (lambda t: t["a"].__setitem__((0, 1), np.nan), "not finite"),
    ],
    ids=["as it is", "missing", "unexpected", "shape", "value", "nan"],
)
def test_tensors_claim_shows_each_sort_of_difference(tmp_path: Path, change: Any, detail: str | None) -> None:
    """And nothing where there is none."""
    tensors = {"a": _random(2, 3), "b": _random(4)}
    claim = claims.tensors("kept", "m.apr", {name: array.copy() for name, array in tensors.items()}, only=True)
    change(tensors)
    plain_apr(tmp_path / "m.apr", tensors)
    assert _details(tmp_path, claim) == ([] if detail is None else [detail])


@pytest.mark.parametrize(("value", "holds"), [(0.25, True), (0.75, True), (0.5, False)])
def test_tensors_claim_with_choices_takes_each_of_them(tmp_path: Path, value: float, holds: bool) -> None:
    """As the entries of a merge that drops at random."""
    claim = claims.tensors("kept", "m.apr", {"a": np.array([0.25])}, within=1e-6)
    claim["expect"]["a"]["or"] = [[0.75]]
    plain_apr(tmp_path / "m.apr", {"a": np.array([value])})
    assert (_details(tmp_path, claim) == []) is holds


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_float_is_its_own_nine_digits_and_its_neighbour_is_not(value: float) -> None:
    """So that a claim in nine digits is still a claim about every bit."""
    digits = claims._digits(np.array([value], np.float32))[0]
    assert abs(value - digits) <= look._DIGITS * abs(digits)
    with np.errstate(over="ignore"):  # the largest float's neighbour is infinity
        neighbour = float(np.nextafter(np.float32(value), np.float32(np.inf)))
    if np.isfinite(neighbour) and abs(value) > 1e-37:
        assert abs(neighbour - digits) > look._DIGITS * abs(digits)


@pytest.mark.parametrize(
    ("claim", "detail"),
    [
        (claims.says("n", "m.apr", ["layers"], 2), None),
        (claims.says("n", "m.apr", ["layers"], 3), "other value"),
        (claims.says("n", "m.apr", ["heads"], 3), "not said"),
        (claims.says("n", "1.stdout", ["list", 1, "x"], 0.5, 1e-3), None),
        (claims.says("n", "1.stdout", ["list", 1, "x"], 0.51, 1e-3), "other value"),
        (claims.says("n", "1.stdout", ["list", 7], 0), "not said"),
        (claims.says("n", "gone.json", [], {}), "no file"),
        (claims.inside("m.apr", "apr"), None),
        (claims.inside("m.apr", "gguf"), "apr inside"),
        (claims.zeros("n", "m.apr", {"w": [1, 0]}), None),
        (claims.zeros("n", "m.apr", {"w": [0, 0]}), "other zeros"),
        (claims.zeros("n", "m.apr", {"w": [0, 0]}, within=1), None),
        (claims.moved("n", "m.apr", {"w": [[0, 1], [2, 9]]}, 0.2, 0.3), None),
        (claims.moved("n", "m.apr", {"w": [[0, 1], [2, 9]]}, 0.5, 1.0), "too few"),
        (claims.moved("n", "m.apr", {"w": [[0, 1], [2, 9]]}, 0.0, 0.1), "too many"),
        (claims.holds("n", "m.apr", {"w": [2, 2]}), None),
        (claims.holds("n", "m.apr", {"w": [2, 1]}), "other shape"),
        (claims.at_most("n", "m.apr", ["w"], 16), None),
        (claims.at_most("n", "m.apr", ["w"], 15), "larger"),
        (claims.whole("m.apr"), None),
        (claims.whole("short.apr"), "no bytes"),
        (claims.lines("n", ["a.jsonl"], [{"x": 1, "y": 2}, {"x": 3}], ordered=True), None),
        (claims.lines("n", ["a.jsonl"], [{"x": 3}, {"x": 1, "y": 2}], ordered=True), "others"),
        (claims.lines("n", ["a.jsonl"], [{"x": 3}, {"x": 1, "y": 2}]), None),
        (claims.lines("n", ["a.jsonl"], [{"x": 3}]), "lines added"),
        (claims.lines("n", ["a.jsonl"], [{"x": 3}, {"x": 3}, {"x": 3}]), "lines missing"),
        (claims.says("n", "torn.json", [], {}), "unreadable"),
        (claims.lines("n", ["a.jsonl", "torn.json"], [{"x": 3}]), "unreadable"),
        (claims.lines("n", ["bytes.jsonl"], []), "unreadable"),
    ],
)  # fmt: skip
def test_claim_holds_or_says_how_it_fails(tmp_path: Path, claim: Any, detail: str | None) -> None:
    """Each kind, both ways."""
    plain_apr(tmp_path / "m.apr", {"w": np.array([[0, 1], [2, 3]])}, layers=2)
    write_apr(tmp_path / "short.apr", {"w": ("F32", (2, 2), b"")})
    (tmp_path / "1.stdout").write_text('{"list": [0, {"x": 0.5}]}', encoding="utf-8")
    (tmp_path / "a.jsonl").write_text('{"y": 2, "x": 1}\n\n{"x": 3}\n', encoding="utf-8")
    (tmp_path / "torn.json").write_text("{", encoding="utf-8")
    (tmp_path / "bytes.jsonl").write_bytes(b"\xff\n")
    assert _details(tmp_path, claim) == ([] if detail is None else [detail])


@pytest.mark.parametrize(
    ("code", "stderr", "expect", "detail"),
    [
        (0, "", "done", None),
        (5, "error: no /a/b.apr of 3", "refused", None),
        (5, "error: no /a/b.apr of 3", "done", "refused: no _ of _"),
        (0, "", "refused", "done"),
        (101, "thread 'main' (7) panicked at /x/src/helpers.rs:212:5:\ndivide by zero", "refused",
         "crashed: panic at helpers.rs:_: divide by zero"),
        (139, "", "done", "crashed: nothing on stderr"),
        (124, "slow", "done", "crashed: slow"),
    ],
)  # fmt: skip
def test_exit_claim_tells_done_refused_and_crashed_apart(
    tmp_path: Path, code: int, stderr: str, expect: str, detail: str | None
) -> None:
    """In the program's own words without names and numbers, so that equal causes have equal words."""
    (tmp_path / "1.exit").write_text(str(code))
    (tmp_path / "1.stderr").write_text(stderr)
    assert _details(tmp_path, claims.ends(1, expect)) == ([] if detail is None else [detail])


def test_command_that_fails_is_the_only_difference_told(tmp_path: Path) -> None:
    """What it would have written is not there for the same reason."""
    (tmp_path / "1.exit").write_text("8")
    (tmp_path / "1.stderr").write_text("error: torn")
    told = [claims.inside("m.apr", "apr"), claims.ends(1, "done")]
    assert _details(tmp_path, *told) == ["crashed: torn"]


def test_look_as_a_script_ends_with_1_where_something_differs(tmp_path: Path) -> None:
    """Alone in a folder with its reader, under a Python without any package."""
    here = Path(look.__file__).parent
    for name in ("look.py", "modelfile.py"):
        (tmp_path / name).write_bytes((here / name).read_bytes())
    plain_apr(tmp_path / "m.apr", {"w": np.zeros(2)})
    for expected, code, words in (("apr", 0, "no difference"), ("gguf", 1, "1 differences")):
        told = {"claims": [claims.inside("m.apr", expected)]}
        (tmp_path / "expected.json").write_text(json.dumps(told), encoding="utf-8")
        command = [sys.executable, "-I", "-S", "-c", _ALONE, "expected.json", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, words in done.stdout) == (code, True), done.stderr


_ALONE = "import sys; sys.path.insert(0, '.'); import look; sys.exit(look.main(sys.argv[1:]))"
