"""Finding an adapter: which is taken, what is missing where there is none, and who is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from apr_leaderboard.engine.shaders import hide_vendor_devices, open_adapter, vendor_libraries
from apr_leaderboard.engine.shaders.__main__ import EXIT_MISSING, main
from apr_leaderboard.errors import AdapterMissingError

_LIMITS = {"max-storage-buffer-binding-size": 1 << 27, "max-buffer-size": 1 << 30}


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    """What was found is kept for a process; not for a test."""
    open_adapter.cache_clear()
    yield
    open_adapter.cache_clear()


def library_with(monkeypatch: pytest.MonkeyPatch, *adapters: Any) -> None:
    """A wgpu that finds these adapters."""
    gpu = SimpleNamespace(enumerate_adapters_sync=lambda: list(adapters))
    monkeypatch.setitem(sys.modules, "wgpu", SimpleNamespace(gpu=gpu, __version__="9.9"))


def adapter(name: str, kind: str, api: str = "Vulkan", opened: object = "device") -> Any:
    """An adapter of wgpu's, as far as it is looked at."""

    def request_device_sync(required_limits: dict[str, int]) -> object:
        assert required_limits == _LIMITS
        if isinstance(opened, Exception):
            raise opened
        return opened

    info = {"device": name, "adapter_type": kind, "backend_type": api, "description": "driver 1"}
    return SimpleNamespace(info=info, limits=_LIMITS, request_device_sync=request_device_sync)


def test_adapter_without_the_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "wgpu", None)
    with pytest.raises(
        AdapterMissingError, match=r"^no wgpu adapter: wgpu is not installed; pip install 'apr-.*\[wgpu\]"
    ):
        open_adapter()


def test_adapter_where_none_is_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what would be one."""
    library_with(monkeypatch)
    with pytest.raises(AdapterMissingError, match=r"^no wgpu adapter: wgpu 9\.9 finds none; it takes .*lavapipe"):
        open_adapter()


def test_adapter_that_does_not_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with what was said."""
    library_with(monkeypatch, adapter("card", "DiscreteGPU", opened=RuntimeError("lost\nit")))
    with pytest.raises(AdapterMissingError, match=r"card cannot be opened: lost it$"):
        open_adapter()


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        ([adapter("soft", "CPU"), adapter("card", "DiscreteGPU")], "card"),
        ([adapter("odd", "Unknown"), adapter("soft", "CPU")], "soft"),
        ([adapter("late", "IntegratedGPU", "OpenGL"), adapter("early", "IntegratedGPU")], "early"),
        ([adapter("late", "DiscreteGPU", "OpenGL"), adapter("soft", "CPU")], "late"),
    ],
    ids=["card-before-software", "known-before-unknown", "vulkan-before-opengl", "a-card-by-opengl-before-software"],
)
def test_adapter_of_several_is_the_one_that_promises_most(
    found: list[Any], taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card before software, and a full interface before OpenGL."""
    library_with(monkeypatch, *found)
    assert open_adapter().name == taken


def test_probe_prints_the_adapter_or_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As JSON on stdout, or as one line on stderr."""
    library_with(monkeypatch)
    assert main() == EXIT_MISSING
    assert capsys.readouterr().err.startswith("error: wgpu 9.9 finds none")
    library_with(monkeypatch, adapter("card", "DiscreteGPU"))
    open_adapter.cache_clear()
    assert main() == 0
    told = (
        '{"adapter": {"name": "card", "api": "Vulkan", "kind": "DiscreteGPU", "driver": "driver 1", "wgpu": "9.9"}}\n'
    )
    assert capsys.readouterr().out == told


def test_vendor_libraries_are_found_among_what_is_mapped(tmp_path: Path) -> None:
    """The toolkits by their files' names; a card's Vulkan driver and a name that only looks alike are none."""
    files = (
        "libcuda.so.550.1",
        "libcublasLt-1a2b.so.12",
        "libamdhip64.so.6",
        "libcudadebugger.so.1",
        "libGLX_nvidia.so.0",
    )
    lines = [f"7f00-7f01 r-xp 00000000 08:01 7   /usr/lib/with space/{name}" for name in files]
    maps = tmp_path / "maps"
    maps.write_text("\n".join([*lines, lines[0], "7f02-7f03 rw-p 00000000 00:00 0"]) + "\n", encoding="utf-8")
    assert vendor_libraries(maps) == ("libamdhip64.so.6", "libcublasLt-1a2b.so.12", "libcuda.so.550.1")


def test_vendor_libraries_where_nothing_tells_are_unknown(tmp_path: Path) -> None:
    """Which is not none."""
    assert vendor_libraries(tmp_path / "maps") is None


def test_hidden_devices_are_hidden_from_each_toolkit() -> None:
    """Whatever was visible before."""
    environment = {"CUDA_VISIBLE_DEVICES": "0", "PATH": "/bin"}
    hide_vendor_devices(environment)
    assert environment.pop("PATH") == "/bin"
    assert environment == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "HIP_VISIBLE_DEVICES": "-1",
        "ROCR_VISIBLE_DEVICES": "-1",
    }
