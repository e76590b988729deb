"""What an -m expression names, so that one knows where to look for it."""

from __future__ import annotations

import ast
import re
from itertools import product

__all__ = ["alternatives", "words_of"]

_WORD = re.compile(r"[A-Za-z_][\w.]*")


def words_of(expression: str) -> set[str]:
    """Every mark that it names, whatever it says of them."""
    return set(_WORD.findall(expression)) - {"and", "or", "not"}


def alternatives(expression: str) -> list[set[str]]:
    """The marks that an item needs, for each way to fit: `a and (b or c) and not d` gives {a, b} and {a, c}.

    What pytest does not understand is one way with all words; pytest says so itself when it selects.
    """
    try:
        return _ways(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError):  # ValueError: a null character
        return [words_of(expression)]


def _ways(node: ast.expr) -> list[set[str]]:
    if isinstance(node, ast.BoolOp):
        parts = [_ways(value) for value in node.values]
        if isinstance(node.op, ast.Or):
            return [way for part in parts for way in part]
        return [set().union(*choice) for choice in product(*parts)]
    if isinstance(node, ast.UnaryOp):  # what an item must not have says nothing of where it is
        return [set()]
    return [words_of(ast.unparse(node.func if isinstance(node, ast.Call) else node))]
