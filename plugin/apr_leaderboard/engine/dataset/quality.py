"""How good a sample is to train on, from 0 to 100, by what can be seen without running it.

The score is 100 times the mean of the parts that apply:

- unique: 0 where the sample is nearly one before it (see `duplicates`), else 1;
- length: min(1, q / 3, 2048 / q) * min(1, a / 4, 1024 / a), for q words asked and a words answered;
- parses: 1 where the answer's Python is Python;
- runnable: 1 where it parses and every name it reads is bound somewhere in it or built in.

The last two apply to answers that hold code: fenced blocks, or a text with a line that begins like a statement. A block
of Python that is cut off, with no fence to close it, goes to the end of the answer; a last fence that names no
language may as well close what was never opened, and opens none.
"""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import warnings
from dataclasses import dataclass
from typing import Final

from apr_leaderboard.engine.dataset.rows import Row

__all__ = ["Quality", "code_of", "quality_of"]

_FENCE: Final = "```"
_PYTHON: Final = ("", "python", "py", "python3")
"""What stands behind the fence that opens a block of Python."""
_STATEMENT: Final = re.compile(
    r"^\s*(?:(?:def|class)\s+\w+.*:|(?:if|for|while|with|try)\b.*:$|from [\w.]+ import\b|import [\w.]+( as \w+)?$"
    r"|\w+ = \S|print\()",
    re.MULTILINE,
)
_BUILT_IN: Final = frozenset(dir(builtins)) | {"__name__", "__file__", "__doc__"}


@dataclass(frozen=True)
class Quality:
    """The parts of a score, each from 0 to 1; None for a part that does not apply."""

    unique: float
    length: float
    parses: float | None
    runnable: float | None

    @property
    def score(self) -> float:
        """100 times their mean."""
        parts = [part for part in (self.unique, self.length, self.parses, self.runnable) if part is not None]
        return 100.0 * sum(parts) / len(parts)


def quality_of(row: Row, *, duplicate: bool) -> Quality:
    """The quality of one sample; `duplicate` says that one like it stands before."""
    asked, answered = len(row.question.split()), len(row.answer.split())
    length = _within(asked, 3, 2048) * _within(answered, 4, 1024)
    code = code_of(row.answer)
    if code is None:
        return Quality(float(not duplicate), length, None, None)
    tree = _parsed(code)
    runnable = tree is not None and not _unbound(tree)
    return Quality(float(not duplicate), length, float(tree is not None), float(runnable))


def code_of(answer: str) -> str | None:
    """The Python an answer holds: its fenced blocks, else all of it if it looks like code; None for prose."""
    blocks = _python_blocks(answer)
    if blocks:
        return "\n".join(textwrap.dedent(block) for block in blocks)
    return textwrap.dedent(answer) if _STATEMENT.search(answer) and _FENCE not in answer else None


def _python_blocks(answer: str) -> list[str]:
    """Fences are told in turn, so that the end of a block in another language opens none."""
    blocks: list[str] = []
    language: str | None = None  # of the block we are in
    for line in answer.split("\n"):
        if line.startswith(_FENCE):
            language = line.removeprefix(_FENCE).strip().lower() if language is None else None
            if language in _PYTHON:
                blocks.append("")
        elif language in _PYTHON:
            blocks[-1] += line + "\n"
    return blocks[:-1] if language == "" else blocks


def _within(n: int, low: int, high: int) -> float:
    return min(1.0, n / low, high / n) if n else 0.0


def _parsed(code: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes are no reason to call it no Python
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _unbound(tree: ast.Module) -> set[str]:
    """Names that are read and bound nowhere. Where something is imported by `*`, none can be told."""
    bound, read = set(_BUILT_IN), set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.alias):
            if node.name == "*":
                return set()
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.MatchMapping) and node.rest:
            bound.add(node.rest)
    return read - bound
