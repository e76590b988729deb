"""The committed findings: each page has its script, and each script shows its difference on the real program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from apr_leaderboard.engine.apr.binary import identify

_FOLDER = Path(__file__).resolve().parents[2] / "reports" / "defects"
_SCRIPTS = sorted(_FOLDER.glob("*.sh"))
_SEEN_IN = "0.72.3"


def test_every_page_has_a_script_and_the_list_names_it() -> None:
    """And nothing else lies there; no file is large."""
    pages = {page.stem for page in _FOLDER.glob("*.md")} - {"README"}
    assert pages == {script.stem for script in _SCRIPTS}
    assert len(pages) >= 12
    listed = (_FOLDER / "README.md").read_text(encoding="utf-8")
    assert [page for page in sorted(pages) if f"({page}.md)" not in listed] == []
    assert max(file.stat().st_size for file in _FOLDER.iterdir()) < 120_000


@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: path.stem)
def test_page_has_command_expected_and_got(script: Path) -> None:
    """On one page."""
    page = script.with_suffix(".md").read_text(encoding="utf-8")
    assert all(words in page for words in ("```sh\napr ", "| expected | ", "| got | ", f"({script.name})"))
    assert len(page.splitlines()) < 60


@pytest.mark.slow
@pytest.mark.real_apr
@pytest.mark.parametrize("script", _SCRIPTS, ids=lambda path: path.stem)
def test_script_shows_its_difference_from_an_empty_folder(script: Path, tmp_path: Path) -> None:
    """With the version it was found in; a later one may have mended it."""
    binary = os.environ.get("APR_BIN")
    if not binary:
        pytest.skip("APR_BIN names no apr program")
    empty = tmp_path / "empty"
    empty.mkdir()
    done = subprocess.run(["/bin/sh", str(script)], cwd=empty, capture_output=True, text=True, check=False)
    known = identify(Path(binary)).version.startswith(_SEEN_IN)
    assert done.returncode in ((1,) if known else (0, 1)), done.stdout + done.stderr
    assert ("expected" in done.stdout) == (done.returncode == 1)
    assert list(empty.iterdir()) == []
