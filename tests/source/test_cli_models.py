"""`apr-leaderboard models`, from outside."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from apr_leaderboard.cli import main

if TYPE_CHECKING:
    from tests.source.conftest import FakeHub

DATA = b"weights"
CATALOGUE = f"""
schema: 1
models:
  tiny:
    title: Tiny
    n_parameters: 494032768
    format: gguf
    quantization: q4_k_m
    licence: MIT
    files: {{t.gguf: {{sha256: {hashlib.sha256(DATA).hexdigest()}}}}}
    sources: [hf://o/n/t.gguf]
    published: [{{humaneval: 61.6, source: someone}}]
  own: {{title: Own, format: hf, licence: MIT, sources: [made:own]}}
"""

PLAN = """
schema: 1
model: tiny
family: tiny
leaderboard: bigcode
quantization: q4k
goal: to be listed
benchmarks: [humaneval]
"""


@pytest.fixture
def options(tmp_path: Path, cache: Path) -> list[str]:
    """A catalogue and a cache of this test alone."""
    (tmp_path / "c.yaml").write_text(CATALOGUE)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.yaml").write_text(PLAN)
    return ["--catalogue", str(tmp_path / "c.yaml"), "--cache", str(cache)]


def test_list_shows_what_is_known_and_what_is_here(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One line a model, with size, format, place, published scores, and what is to be done with it."""
    assert main(["models", *options]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[1] == ["tiny", "494 M", "gguf q4_k_m", "no", "61.6", "-", "eval only", "hf://o/n@main/t.gguf"]
    assert cells[2] == ["own", "-", "hf", "made", "-", "-", "-", "made:own"]


def test_fetch_says_where_and_the_list_then_says_cached(
    hub: FakeHub, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The path and digest are printed; afterwards the model counts as here."""
    hub.files = {"o/n": {"t.gguf": DATA}}
    assert main(["models", "fetch", "tiny", "--json", *options]) == 0
    got = json.loads(capsys.readouterr().out)
    assert Path(got["path"]).read_bytes() == DATA
    assert main(["models", "--json", *options]) == 0
    listed = {model["name"]: model for model in json.loads(capsys.readouterr().out)}
    assert (listed["tiny"]["here"], listed["tiny"]["path"]) == ("cached", got["path"])
    assert main(["models", "fetch", "tiny", "--verify", *options]) == 0
    assert capsys.readouterr().out.startswith("note: from the cache\n")


def test_fetch_of_an_unknown_name_is_a_request_error(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, one line with the nearest name."""
    assert main(["models", "fetch", "tini", *options]) == 2
    assert "did you mean tiny?" in capsys.readouterr().err


def test_fetch_with_no_source_reachable_is_trouble_of_ours(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3, one line that names each source."""
    assert main(["models", "fetch", "tiny", *options]) == 3
    error = capsys.readouterr().err
    assert "hub unreachable" in error
    assert error.count("\n") == 1
