"""A headless browser, started afresh for each page: what it makes of a file, and what that looks like.

Found by APR_TEST_BROWSER, then on PATH; tests that need one are skipped with a reason where there is none.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["Browser", "Page", "find_browser"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# The last one lets a test's page look into the page under test, both being files.
_SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--allow-file-access-from-files",
)


def find_browser() -> str | None:
    """The browser's program, or None."""
    asked = os.environ.get("APR_TEST_BROWSER")
    return asked or next(filter(None, map(shutil.which, _NAMES)), None)


class Page(HTMLParser):
    """A page as the browser left it: the texts that show, by tag and attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str, **wanted: str) -> list[dict[str, str]]:
        """The attributes of every element of that tag whose attributes hold those given (`_` for `-`)."""
        asked = {name.replace("_", "-"): value for name, value in wanted.items()}
        return [has for name, has in self.elements if name == tag and asked.items() <= has.items()]

    def text_of(self, identity: str) -> str:
        """The text inside the element of that id, tags left out."""
        found = re.search(rf'id="{re.escape(identity)}"[^>]*>(.*?)</', self.html, re.DOTALL)
        return "" if found is None else re.sub(r"<[^>]+>", "", found[1]).strip()


class Browser:
    """Opens files; each call is a process of its own with a profile of its own."""

    def __init__(self, program: str, scratch: Path) -> None:
        self._program = program
        self._scratch = scratch

    def open(self, file: Path, fragment: str = "", width: int = 1280) -> Page:
        """The page after its scripts ran."""
        return Page(self._run(file, fragment, "--dump-dom", f"--window-size={width},900").stdout)

    def log(self, file: Path, fragment: str = "") -> str:
        """What the page's scripts and policy complained about."""
        run = self._run(file, fragment, "--dump-dom", "--enable-logging=stderr", "--v=0")
        return "\n".join(line for line in run.stderr.splitlines() if "CONSOLE" in line)

    def picture(self, file: Path, out: Path, size: tuple[int, int], *, dark: bool = False, fragment: str = "") -> Path:
        """A screenshot as PNG."""
        theme = ("--blink-settings=preferredColorScheme=0",) if dark else ("--blink-settings=preferredColorScheme=1",)
        self._run(file, fragment, f"--screenshot={out}", f"--window-size={size[0]},{size[1]}", *theme)
        return out

    def pdf(self, file: Path, out: Path) -> Path:
        """The page as it is printed."""
        self._run(file, "", f"--print-to-pdf={out}", "--no-pdf-header-footer")
        return out

    def _run(self, file: Path, fragment: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                self._program,
                *_SWITCHES,
                f"--user-data-dir={self._scratch}",
                *words,
                f"{file.as_uri()}{fragment}",
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
