"""For mkdocs: what a page links to outside of docs/ is no page of the site, so it is named by its path instead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_OUTSIDE = re.compile(r"\[(?P<words>[^\]]+)\]\(\.\./(?P<path>[^)#]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The page's text with such links as words. Raises `FileNotFoundError` for a path that is not in the checkout."""

    def named(link: re.Match[str]) -> str:
        if not (_ROOT / link["path"]).exists():
            raise FileNotFoundError(f"{page.file.src_uri}: links to ../{link['path']}, which is not there")
        return f"{link['words']} (`{link['path']}`)"

    return _OUTSIDE.sub(named, markdown)
