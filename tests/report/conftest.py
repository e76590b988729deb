"""Recorded runs to report on, and a browser to look at pages with."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser, find_browser
from recorded import Recorder


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    """A headless browser; skips where there is none."""
    program = find_browser()
    if program is None:
        pytest.skip("no browser: looked for APR_TEST_BROWSER, chromium, google-chrome")
    return Browser(program, tmp_path / "browser")


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    """Writes report folders under `tmp_path`/reports."""
    return Recorder(tmp_path / "reports")
