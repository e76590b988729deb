"""The reference engine's backends: how one is asked for, what it is part of, and what training on it computes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import refmodels

from apr_leaderboard.engine import CheckJob, Checkpoint, MakeSmokeJob, PerplexityJob, on_backend
from apr_leaderboard.engine.protocol import ignore_progress
from apr_leaderboard.engine.reference import ReferenceEngine, backend
from apr_leaderboard.engine.reference.nf4 import nf4_of
from apr_leaderboard.engine.reference.products import compute_on, product
from apr_leaderboard.engine.shaders import DeviceProduct, open_adapter
from apr_leaderboard.errors import AdapterMissingError, EngineError, EngineOutputError, RequestError

_ADAPTER = {"name": "card", "api": "Vulkan", "kind": "DiscreteGPU", "driver": "1", "wgpu": "9.9"}


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    """What the probe said is kept for a process; not for a test."""
    backend._adapter.cache_clear()
    yield
    backend._adapter.cache_clear()


@pytest.fixture
def on_adapter() -> Iterator[DeviceProduct]:
    """Products on the adapter that is here; skips where none is."""
    try:
        found = DeviceProduct(open_adapter())
    except AdapterMissingError as missing:
        pytest.skip(str(missing))
    compute_on(found)
    yield found
    compute_on(None)


def probe_that(monkeypatch: pytest.MonkeyPatch, words: str) -> None:
    """A probe that does what these lines of Python do."""
    monkeypatch.setattr(backend, "_PROBE", (sys.executable, "-c", words))


def probe_finding(monkeypatch: pytest.MonkeyPatch, **adapter: str) -> None:
    """A probe that finds an adapter."""
    probe_that(monkeypatch, f"print({json.dumps(json.dumps({'adapter': _ADAPTER | adapter}))})")


def test_backend_by_default_is_the_cpu_and_says_nothing(tmp_path: Path) -> None:
    """No word in a command, none in the version."""
    engine = ReferenceEngine()
    assert engine.backend == "cpu"
    assert "--backend" not in engine.command(CheckJob(Checkpoint(tmp_path, "hf")), tmp_path)
    assert "wgpu" not in engine.identity().version


def test_backend_of_another_name_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable, and by the caller."""
    monkeypatch.setenv("APR_REFERENCE_BACKEND", "cuda")
    with pytest.raises(RequestError, match=r"^APR_REFERENCE_BACKEND: got 'cuda'; accepted: cpu, wgpu$"):
        ReferenceEngine()
    with pytest.raises(RequestError, match=r"^backend: got 'metal'; accepted: cpu, wgpu$"):
        ReferenceEngine(backend="metal")


def test_backend_wgpu_without_an_adapter_is_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for, so its lack is the answer, in the words of the probe, with its command."""
    monkeypatch.setenv("APR_REFERENCE_BACKEND", "wgpu")
    probe_that(monkeypatch, "import sys; sys.stderr.write('noise\\nerror: wgpu 9.9 finds none\\n'); sys.exit(4)")
    with pytest.raises(AdapterMissingError, match=r"^no wgpu adapter: wgpu 9\.9 finds none$") as caught:
        ReferenceEngine()
    assert caught.value.command[:2] == (sys.executable, "-c")


@pytest.mark.parametrize("words", ["import os; os.abort()", "print('hello')", "print('{}')", "pass"])
def test_backend_whose_probe_breaks_is_an_error_and_no_cpu(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that crashes takes the probe with it, and nothing else."""
    probe_that(monkeypatch, words)
    with pytest.raises(EngineOutputError, match="the look for a wgpu adapter ended with"):
        ReferenceEngine(backend="wgpu")


def test_backend_wgpu_is_part_of_commands_and_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another adapter, another identity; what the suite makes for itself is made on the CPU."""
    probe_finding(monkeypatch)
    card = ReferenceEngine(backend="wgpu")
    words = card.command(CheckJob(Checkpoint(tmp_path, "hf")), tmp_path)
    assert words[words.index("--backend") + 1] == "wgpu"
    assert "--backend" not in card.command(MakeSmokeJob(), tmp_path)
    assert card.identity().version.endswith("+wgpu9.9+card")
    backend._adapter.cache_clear()
    probe_finding(monkeypatch, driver="2")
    builds = {one.identity().build for one in (card, ReferenceEngine(backend="wgpu"), ReferenceEngine())}
    assert len(builds) == 3


def test_engine_on_a_backend_is_the_same_one_there_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made once, so that all who ask share what it makes."""
    probe_finding(monkeypatch)
    engine = ReferenceEngine()
    found = on_backend(engine, "wgpu")
    assert found is not None
    assert (found.adapter, found.shows_libraries) == ("card", True)
    assert on_backend(engine, "wgpu") == found
    back = on_backend(found.engine, "cpu")
    assert back is not None
    assert back.engine.identity() == engine.identity()
    assert on_backend(engine, "rocm") is None


def test_program_on_wgpu_without_the_library_ends_with_one_line(tmp_path: Path) -> None:
    """Before it has opened anything; nothing is computed on the CPU instead."""
    (tmp_path / "wgpu.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    argv = ["check", "--model", str(tmp_path / "m"), "--backend", "wgpu", "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "apr_leaderboard.engine.reference", *argv],
        env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: no wgpu adapter: wgpu is not installed; pip install")
    assert done.stderr.count("\n") == 1


def test_product_without_an_adapter_is_xlas() -> None:
    """To the byte, so that nothing that was computed before is another now."""
    a, b = (jnp.asarray(np.random.default_rng(i).standard_normal((9, 9)), jnp.float32) for i in (1, 2))
    assert np.asarray(product(a, b)).tobytes() == np.asarray(a @ b).tobytes()


def loss(trained: Any, frozen: Any, x: jax.Array) -> jax.Array:
    """A low-rank adapter beside a frozen matrix, as training has it."""
    y = product(frozen, x) + product(trained["b"], product(trained["a"], x))
    return jnp.sum(jnp.tanh(y))


@pytest.mark.parametrize("in_nf4", [False, True], ids=["float32", "nf4"])
def test_gradients_on_an_adapter_are_those_of_jax(on_adapter: DeviceProduct, in_nf4: bool) -> None:
    """Of what is trained; of a frozen matrix none is computed, so the dispatches are those that are needed."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((64, 64)).astype(np.float32)
    trained = {"a": jnp.asarray(rng.standard_normal((4, 64)), jnp.float32),
               "b": jnp.asarray(rng.standard_normal((64, 4)), jnp.float32)}  # fmt: skip
    x = jnp.asarray(rng.standard_normal((64, 10)) / 8, jnp.float32)
    frozen = nf4_of(weight) if in_nf4 else jnp.asarray(weight)
    found, there = jax.jit(jax.value_and_grad(lambda *given: loss(*given)))(trained, frozen, x)
    assert on_adapter.dispatches == 3 + 3  # W x, A x, B (A x); and back: of B, of A x, of A
    compute_on(None)
    wanted, here = jax.jit(jax.value_and_grad(lambda *given: loss(*given)))(trained, frozen, x)
    assert float(found) == pytest.approx(float(wanted), abs=1e-3)
    for name, gradient in here.items():
        np.testing.assert_allclose(there[name], gradient, atol=2e-4, rtol=2e-4)


def test_product_on_an_adapter_of_other_numbers_is_refused(on_adapter: DeviceProduct) -> None:
    """The kernel is for float32, and computes nothing else under that name."""
    half = jnp.ones((4, 4), jnp.bfloat16)
    with pytest.raises(EngineError, match="wgpu multiplies float32; got bfloat16 and bfloat16"):
        product(half, half)
    assert on_adapter.dispatches == 0


@pytest.mark.slow
def test_perplexity_on_an_adapter_is_the_cpus_and_tells_what_it_ran_on(tmp_path: Path) -> None:
    """The adapter, its dispatches, and that no vendor's library was loaded."""
    try:
        engine = ReferenceEngine(backend="wgpu")
    except AdapterMissingError as missing:
        pytest.skip(str(missing))
    folder = refmodels.write_tokenizer(refmodels.write_model(tmp_path / "llama", "llama"))
    (tmp_path / "text.txt").write_text("The quick brown fox. " * 4, encoding="utf-8")
    job = PerplexityJob(Checkpoint(folder, "hf"), tmp_path / "text.txt", window=64, max_tokens=64)
    there = engine.run(job, tmp_path / "there", ignore_progress).figures
    here = ReferenceEngine().run(job, tmp_path / "here", ignore_progress).figures
    assert float(there["perplexity"]) == pytest.approx(float(here["perplexity"]), rel=1e-4)
    assert int(there["dispatches"]) > 0
    assert there["vendor_libraries"] == "none"
    assert str(there["backend"]).startswith("wgpu ")
    assert "dispatches" not in here
