"""`apr merge`, `prune`, `quantize`: command lines, and the findings on recorded shapes of what the program writes."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from apr_leaderboard.engine.apr.surgery import verify_surgery
from apr_leaderboard.engine.apr.surgery_argv import (
    merge_models_argv,
    prune_argv,
    quantize_argv,
    unhonoured_surgery,
)
from apr_leaderboard.engine.apr.surgery_models import decode_packed
from apr_leaderboard.engine.jobs import Checkpoint, MergeJob, PruneJob, QuantizeJob
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.stage import MergeParams, PruneParams, QuantizeParams

F32 = NDArray[np.float32]
_OUT = Path("/out")
_A, _B, _BASE = (Checkpoint(Path(f"/{name}.apr"), "apr") for name in ("a", "b", "base"))


def _merge_job(**params: Any) -> MergeJob:
    return MergeJob((_A, _B), _BASE, MergeParams.model_validate(params))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"strategy": "linear"}, "--strategy average"),
        ({"strategy": "linear", "weights": (3, 1)}, "--strategy weighted --weights 0.75,0.25"),
        ({"strategy": "slerp"}, "--strategy slerp"),
        ({"strategy": "slerp", "t": 0.25}, "--strategy slerp --weights 0.25,0.75"),
        ({"strategy": "ties", "density": 0.5}, "--strategy ties --base-model /base.apr --density 0.5"),
        ({"strategy": "dare", "drop_rate": 0.5}, "--strategy dare --base-model /base.apr --drop-rate 0.5 --seed 0"),
    ],
    ids=["linear", "weighted", "slerp", "slerp-t", "ties", "dare"],
)
def test_merge_argv_says_the_strategy_in_the_program_s_words(params: dict[str, Any], words: str) -> None:
    """Linear has two names there; slerp's t is its first weight."""
    argv = merge_models_argv(Path("/bin/apr"), _merge_job(**params), _OUT)
    assert " ".join(argv) == f"/bin/apr merge /a.apr /b.apr {words} -o /out/model.apr --json"


def test_prune_argv_passes_calibration_for_the_program_to_refuse() -> None:
    """The refusal is to be its own."""
    params = PruneParams(method="wanda", target_ratio=0.2, calibration="text")
    argv = prune_argv(Path("/bin/apr"), PruneJob(_A, Path("/text.txt"), params), _OUT)
    wanted = "prune /a.apr --method wanda --target-ratio 0.2 --calibration /text.txt -o /out/model.apr --json"
    assert " ".join(argv[1:]) == wanted


def test_quantize_argv_passes_the_scheme_as_it_is() -> None:
    """Also those the program does not know."""
    argv = quantize_argv(Path("/bin/apr"), QuantizeJob(_A, QuantizeParams(scheme="q6k")), _OUT)
    assert " ".join(argv[1:]) == "quantize /a.apr --scheme q6k -o /out/model.apr --json"


def test_unhonoured_names_each_parameter_the_program_has_no_word_for() -> None:
    """Lambda and weights of ties."""
    job = _merge_job(**{"strategy": "ties", "lambda": 0.5, "weights": (1, 2)})
    messages = [finding.message for finding in unhonoured_surgery(job, ("apr", "merge"))]
    assert [message.split(":")[0].split()[0] for message in messages] == ["lambda", "weights"]


# -- outputs ----------------------------------------------------------------------------------------------------------


def _write_apr(path: Path, tensors: Mapping[str, F32], metadata: Mapping[str, Any]) -> Checkpoint:
    """A .apr file in the layout of `apr_format`, float32."""
    meta = json.dumps(metadata).encode()
    index, data = b"", b""
    for name, array in tensors.items():
        data += b"\0" * (-len(data) % 64)
        raw = array.astype("<f4").tobytes()
        index += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BB", 0, array.ndim)
        index += struct.pack(f"<{array.ndim}QQQ", *array.shape, len(data), len(raw))
        data += raw
    index_at = 64 + len(meta)
    head = struct.pack("<4sBBHIQIQQ", b"APR\0", 2, 0, 0, len(tensors), 64, len(meta), index_at, index_at + len(index))
    rest = b"\0" * (64 - len(head) - 4)
    path.write_bytes(head + struct.pack("<I", zlib.crc32(head + rest)) + rest + meta + index + data)
    return Checkpoint(path, "apr")


_FULL = {
    "num_layers": 1,
    "num_heads": 1,
    "hidden_size": 8,
    "tokenizer.vocabulary": ["a", "b"],
    "tokenizer.merges": ["a b"],
}
_NAME = "model.layers.0.mlp.up_proj.weight"
_NORM = "model.norm.weight"


def _tensors(seed: int) -> dict[str, F32]:
    generator = np.random.default_rng(seed)
    return {
        _NAME: generator.standard_normal((40, 50)).astype(np.float32),
        _NORM: (1 + 0.1 * generator.standard_normal(16)).astype(np.float32),
    }


def _codes(job: MergeJob | PruneJob | QuantizeJob, path: Path) -> set[str]:
    return {finding.code for finding in verify_surgery(job, path, ("apr", job.op))[1]}


def _prune_job(source: Checkpoint, method: str, ratio: float = 0.25) -> PruneJob:
    return PruneJob(source, None, PruneParams.model_validate({"method": method, "target_ratio": ratio}))


def _smallest_gone(array: F32, share: float) -> F32:
    return np.where(np.abs(array) <= np.quantile(np.abs(array), share), np.float32(0), array)


def test_prune_faithful_output_has_no_finding(tmp_path: Path) -> None:
    """Magnitude at the ratio, with tokenizer and configuration kept."""
    tensors = _tensors(0)
    source = _write_apr(tmp_path / "a.apr", tensors, _FULL)
    done = _write_apr(tmp_path / "model.apr", {**tensors, _NAME: _smallest_gone(tensors[_NAME], 0.25)}, _FULL)
    assert _codes(_prune_job(source, "magnitude"), done.path) == set()


@pytest.mark.parametrize("method", ["wanda", "sparsegpt", "structured"])
def test_prune_by_magnitude_under_another_name_is_found(tmp_path: Path, method: str) -> None:
    """And so are zeroed norms and a dropped tokenizer."""
    tensors = _tensors(0)
    source = _write_apr(tmp_path / "a.apr", tensors, _FULL)
    gone = {name: _smallest_gone(array, 0.25) for name, array in tensors.items()}
    done = _write_apr(tmp_path / "model.apr", gone, {})
    wanted = {"method-is-magnitude", "norms-pruned", "tokenizer-dropped", "config-dropped"}
    wanted |= {"shapes-kept"} if method == "structured" else set()
    assert _codes(_prune_job(source, method), done.path) == wanted


def test_prune_by_another_measure_is_not_called_magnitude(tmp_path: Path) -> None:
    """Weights picked by their column are not the smallest."""
    tensors = _tensors(0)
    source = _write_apr(tmp_path / "a.apr", tensors, _FULL)
    cut = tensors[_NAME].copy()
    cut[:, :12], cut[:20, 12] = 0, 0
    done = _write_apr(tmp_path / "model.apr", {**tensors, _NAME: cut}, _FULL)
    assert _codes(_prune_job(source, "wanda"), done.path) == set()


def test_prune_far_from_the_ratio_is_found(tmp_path: Path) -> None:
    """0.10 where 0.25 was asked."""
    tensors = _tensors(0)
    source = _write_apr(tmp_path / "a.apr", tensors, _FULL)
    done = _write_apr(tmp_path / "model.apr", {**tensors, _NAME: _smallest_gone(tensors[_NAME], 0.1)}, _FULL)
    assert _codes(_prune_job(source, "magnitude"), done.path) == {"sparsity-off-target"}


def test_prune_that_takes_nothing_out_is_off_target_and_no_magnitude(tmp_path: Path) -> None:
    """A copy of its input shows no method at all."""
    source = _write_apr(tmp_path / "a.apr", _tensors(0), _FULL)
    done = _write_apr(tmp_path / "model.apr", _tensors(0), _FULL)
    assert _codes(_prune_job(source, "wanda"), done.path) == {"sparsity-off-target"}


@pytest.mark.parametrize(
    ("kept", "codes"),
    [((0, 1, 2), set()), ((0, 1, 2, 3), {"sparsity-off-target"}), ((0,), {"sparsity-off-target"}),
     ((0, 1, 3), {"layers-not-renumbered"})],
    ids=["one-gone", "none-gone", "three-gone", "old-numbers"],
)  # fmt: skip
def test_prune_depth_is_held_to_the_ratio(tmp_path: Path, kept: tuple[int, ...], codes: set[str]) -> None:
    """A quarter of four layers is one of them."""
    matrix = _tensors(0)[_NAME]
    layers = {i: {_NAME.replace(".0.", f".{i}."): matrix + np.float32(i)} for i in range(4)}
    source = _write_apr(tmp_path / "a.apr", {k: v for i in range(4) for k, v in layers[i].items()}, _FULL)
    done = _write_apr(tmp_path / "model.apr", {k: v for i in kept for k, v in layers[i].items()}, _FULL)
    assert _codes(_prune_job(source, "depth"), done.path) == codes


def test_merge_dare_that_drops_nothing_moves_everything(tmp_path: Path) -> None:
    """A drop rate of 0 is not the default of 0.9."""
    base, one, two = _tensors(0), _tensors(1), _tensors(2)
    places = [_write_apr(tmp_path / f"{i}.apr", t, _FULL) for i, t in enumerate((base, one, two))]
    job = MergeJob((places[1], places[2]), places[0], MergeParams(strategy="dare", drop_rate=0.0))
    summed = {name: one[name] + two[name] - base[name] for name in base}
    assert _codes(job, _write_apr(tmp_path / "model.apr", summed, _FULL).path) == set()
    assert _codes(job, _write_apr(tmp_path / "model.apr", base, _FULL).path) == {"density-not-honoured"}


def test_merge_of_models_that_are_their_base_moves_no_share(tmp_path: Path) -> None:
    """What nothing could move is no density: not measured, and nobody's fault."""
    same = [_write_apr(tmp_path / f"{i}.apr", _tensors(0), _FULL) for i in range(4)]
    job = MergeJob((same[1], same[2]), same[0], MergeParams(strategy="ties", density=0.2))
    figures, findings = verify_surgery(job, same[3].path, ("apr", "merge"))
    assert ("moved_share" in figures, findings) == (False, [])


def _merged(tmp_path: Path, change: F32) -> tuple[MergeJob, Path]:
    base, one, two = _tensors(0), _tensors(1), _tensors(2)
    places = [_write_apr(tmp_path / f"{i}.apr", t, _FULL) for i, t in enumerate((base, one, two))]
    job = MergeJob((places[1], places[2]), places[0], MergeParams(strategy="ties", density=0.2))
    save_file({_NAME: base[_NAME] + change, _NORM: base[_NORM]}, tmp_path / "model.apr")
    return job, tmp_path / "model.apr"


def test_merge_safetensors_under_the_apr_name_is_found(tmp_path: Path) -> None:
    """With what it cannot hold."""
    tasks = [_tensors(i)[_NAME] - _tensors(0)[_NAME] for i in (1, 2)]
    total = tasks[0] + tasks[1]
    job, path = _merged(tmp_path, np.where(np.abs(total) >= np.quantile(np.abs(total), 0.75), total, np.float32(0)))
    assert _codes(job, path) == {"format-mislabelled", "tokenizer-dropped", "config-dropped"}


def test_merge_ties_wrong_signs_and_density_are_found(tmp_path: Path) -> None:
    """Everything moved, always upwards."""
    tasks = [_tensors(i)[_NAME] - _tensors(0)[_NAME] for i in (1, 2)]
    job, path = _merged(tmp_path, np.abs(tasks[0]) + np.float32(0.1))
    assert {"signs-not-by-mass", "density-not-honoured"} <= _codes(job, path)


def test_merge_lost_tensor_is_an_error(tmp_path: Path) -> None:
    """The model is another one."""
    job, path = _merged(tmp_path, np.zeros((40, 50), np.float32))
    save_file({_NORM: _tensors(0)[_NORM]}, path)
    with pytest.raises(EngineOutputError, match="tensors missing"):
        verify_surgery(job, path, ("apr", "merge"))


def test_prune_output_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    """A model with NaN in it is none."""
    tensors = _tensors(0)
    source = _write_apr(tmp_path / "a.apr", tensors, _FULL)
    broken = {**tensors, _NORM: np.full(16, np.nan, np.float32)}
    done = _write_apr(tmp_path / "model.apr", broken, _FULL)
    with pytest.raises(EngineOutputError, match=r"tensor model\.norm\.weight: 16 values are not finite"):
        verify_surgery(_prune_job(source, "magnitude"), done.path, ("apr", "prune"))


def test_missing_output_is_an_error(tmp_path: Path) -> None:
    """Success without a file."""
    with pytest.raises(EngineOutputError, match=r"wrote no model\.apr"):
        verify_surgery(_prune_job(_A, "magnitude"), tmp_path / "model.apr", ("apr", "prune"))


def test_quantize_larger_than_half_of_fp16_is_found(tmp_path: Path) -> None:
    """Float32 under the name of int4."""
    source = _write_apr(tmp_path / "a.apr", _tensors(0), _FULL)
    done = _write_apr(tmp_path / "model.apr", _tensors(0), _FULL)
    assert _codes(QuantizeJob(source, QuantizeParams(scheme="int4")), done.path) == {"not-smaller"}


def test_decode_packed_reads_both_packings() -> None:
    """Low half first; one scale a tensor, or one for 32 values."""
    q4 = np.float16(0.5).tobytes() + bytes(range(16))
    got = decode_packed(q4, "APR_Q4", (4, 8))
    assert got is not None
    assert got.ravel()[:4].tolist() == [-4.0, -4.0, -3.5, -4.0]
    q8 = np.float32(0.5).tobytes() + np.array([1, -2], np.int8).tobytes()
    got = decode_packed(q8, "APR_Q8", (2,))
    assert got is not None
    assert got.tolist() == [0.5, -1.0]
    assert decode_packed(b"", "Q4_K", (1, 256)) is None
