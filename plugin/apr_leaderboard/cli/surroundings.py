"""What is here of what the suite can use: each thing looked at without changing or fetching anything."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from apr_leaderboard.cli.figures import format_size
from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.engine.apr.binary import INSTALL_HINT, find_binary, identify
from apr_leaderboard.errors import AprLeaderboardError, RequestError
from apr_leaderboard.sandbox import choose_level
from apr_leaderboard.source import hub
from apr_leaderboard.store import Store

__all__ = ["Seen", "look_around"]

_APR_SECONDS: Final = 60.0
_GPU_SECONDS: Final = 20.0
_EXTRAS: Final[tuple[tuple[str, tuple[str, ...], str], ...]] = (
    (
        "reference",
        ("jax", "optax", "safetensors", "tokenizers", "gguf"),
        "the embedded engine, and with it every recipe",
    ),
    ("proof", ("z3-solver", "hypothesis"), "contracts proved and tested: pytest -m contracts"),
    ("parquet", ("pyarrow",), "benchmarks that the hub keeps as Parquet files"),
    ("plots", ("matplotlib",), "pictures: apr-leaderboard plots"),
    ("llama-cpp", ("llama-cpp-python",), "the engine llama_cpp, a peer to compare with"),
    ("transformers", ("torch", "transformers"), "the engine transformers, a peer to compare with"),
    ("wgpu", ("wgpu",), "the embedded engine on any GPU (APR_REFERENCE_BACKEND=wgpu), AC-028 and AC-029 on it"),
    ("docs", ("mkdocs-material",), "building the documentation: mkdocs build --strict"),
)
_ELSEWHERE: Final = {"transformers": "APR_TRANSFORMERS_PYTHON", "llama-cpp": "APR_LLAMA_CPP_PYTHON"}
"""Engines that may live in a Python of their own, and the variable that names it."""

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Seen:
    """One thing: what was found, and what having it (or having more of it) makes possible. `here` None: not known."""

    name: str
    here: bool | None
    found: str
    unlocks: str = ""
    hint: str = ""


def look_around(store: Path | None = None, apr_bin: Path | None = None) -> tuple[Seen, ...]:
    """Everything, in the order it is shown. Trouble with one thing is what is said of that thing."""
    looks: tuple[tuple[str, Callable[[], Iterator[Seen]]], ...] = (
        ("apr", partial(_apr, apr_bin)),
        ("extras", _extras),
        ("hub", _hub),
        ("GPU", _gpu),
        ("sandbox", _sandbox),
        ("store", partial(_store, store)),
        ("tools", _tools),
    )
    seen: list[Seen] = []
    for name, look in looks:
        try:
            seen += look()
        except (AprLeaderboardError, OSError, ValueError) as error:
            seen.append(Seen(name, None, f"could not be looked at: {error}"))
    return tuple(seen)


def _apr(asked: Path | None) -> Iterator[Seen]:
    unlocks = "--apr-engine apr: the program under test, its findings, differential tests"
    try:
        binary = find_binary(asked)
    except RequestError as error:
        yield Seen("apr", False, str(error).partition(";")[0], unlocks, INSTALL_HINT)
        return
    identity = identify(binary)
    yield Seen("apr", True, f"{identity.version}, build {identity.build[:12]}, {binary}", unlocks)
    for backend, state in sorted(_backends(binary).items()):
        more = "stages and answers by apr on that device" if backend != "cpu" else ""
        yield Seen(f"apr on {backend}", state == "ready", state, more)


def _backends(binary: Path) -> Mapping[str, str]:
    """Each kind of device the program lists, with the best state of any."""
    done = run_command(Command((str(binary), "devices", "--json"), timeout=_APR_SECONDS, name="apr"))
    try:
        entries: list[dict[str, Any]] = json.loads(done.stdout_tail)["entries"]
    except (ValueError, KeyError, TypeError):
        return {}
    found: dict[str, str] = {}
    for entry in entries:
        kind, status = str(entry.get("kind")), entry.get("status") or {}
        state = str(status.get("state", "unknown"))
        reason = status.get("reason") or status.get("detail")
        words = f"{state}: {' '.join(str(reason).split())[:80]}" if reason else state
        if kind not in found or state == "ready":
            found[kind] = words
    return found


def _extras() -> Iterator[Seen]:
    for extra, packages, unlocks in _EXTRAS:
        python = os.environ.get(_ELSEWHERE.get(extra, ""), "")
        if python:
            yield Seen(f"extra {extra}", Path(python).exists(), f"{_ELSEWHERE[extra]}={python}", unlocks)
            continue
        have = {name: _version(name) for name in packages}
        missing = [name for name, found in have.items() if found is None]
        shown = ", ".join(f"{name} {found}" for name, found in have.items() if found)
        lacking = f"no {', '.join(missing)}" if missing else ""
        hint = f"pip install 'apr-leaderboard[{extra}]'" if missing else ""
        yield Seen(f"extra {extra}", not missing, "; ".join(filter(None, (shown, lacking))), unlocks, hint)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _hub() -> Iterator[Seen]:
    from huggingface_hub import get_token  # takes a moment, so only where it is asked

    why = hub.unreachable()
    reach = f"{hub.endpoint()} answers" if why is None else f"{hub.endpoint()}: {why}"
    yield Seen("hub", why is None, reach, "models and datasets by hf://, the real profiles, apr-leaderboard submit")
    token = get_token() is not None
    where = "set (not shown)" if token else "none: looked in HF_TOKEN and where `hf auth login` puts it"
    yield Seen(
        "hub token", token, where, "private and gated models, apr-leaderboard submit", "" if token else "hf auth login"
    )


def _gpu() -> Iterator[Seen]:
    unlocks = "tests marked gpu, apr's CUDA backend, the 7B and 32B models"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        yield Seen("GPU", False, "no nvidia-smi on PATH", unlocks)
        return
    fields = "--query-gpu=name,memory.total,driver_version"
    done = run_command(Command((tool, fields, "--format=csv,noheader"), timeout=_GPU_SECONDS, name="nvidia-smi"))
    lines = [line.strip() for line in done.stdout_tail.splitlines() if line.strip()]
    if done.exit_code != 0 or not lines:
        yield Seen("GPU", False, "nvidia-smi finds none", unlocks)
        return
    yield Seen("GPU", True, "; ".join(lines), unlocks)


def _sandbox() -> Iterator[Seen]:
    unlocks = "running answers that nobody has read: every score"
    try:
        level = choose_level("auto")
    except RequestError as error:
        yield Seen("sandbox", False, str(error), unlocks, "--apr-sandbox process, if the answers are trusted")
        return
    weak = f"; cannot stop: {'; '.join(level.cannot_stop)}" if level.cannot_stop else ", the strongest"
    yield Seen("sandbox", True, f"{level.value}{weak}", unlocks)


def _store(asked: Path | None) -> Iterator[Seen]:
    root = (asked or Store.default_root()).expanduser().absolute()
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = format_size(shutil.disk_usage(place).free)
    if not root.exists():
        yield Seen("store", True, f"{root} is made when first needed; {free} free", "nothing computed twice")
        return
    store = Store(root)
    try:
        sizes = [entry.size for entry in store.entries()]
    finally:
        store.close()
    yield Seen(
        "store",
        True,
        f"{len(sizes)} results, {format_size(sum(sizes))}, {free} free, in {root}",
        "nothing computed twice",
    )


def _tools() -> Iterator[Seen]:
    npm = shutil.which("npm")
    yield Seen(
        "npm",
        npm is not None,
        npm or "not on PATH",
        "Allure's HTML: npx allure generate",
        "" if npm else "install Node.js",
    )
    browser = os.environ.get("APR_TEST_BROWSER") or next(filter(None, map(shutil.which, _BROWSERS)), None)
    yield Seen("browser", browser is not None, browser or "none on PATH", "this project's own tests of its pages")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Seen("python", True, f"{sys.version.split()[0]} on {cores} cores")
