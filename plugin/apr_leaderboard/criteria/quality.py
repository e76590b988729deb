"""The project's own quality gate: its tools' findings, the licences it leans on, and code that stands there twice."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import re
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Command, run_command
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.proof import NotHere

__all__ = ["copyleft", "findings_of", "needed_packages", "quality_counts", "repeated_code", "sources_digest"]

_STRONG: Final = re.compile(r"\bA?GPL|GNU (?:Affero )?General Public", re.IGNORECASE)
_WEAK: Final = re.compile(r"\bLGPL|Lesser General Public", re.IGNORECASE)
_SAME_TOKENS: Final = 100
"""Shorter runs of equal tokens are the language's own phrases (PMD's CPD takes the same for Python)."""
_SECONDS: Final = 600.0


def findings_of(root: Path, module: str, *words: str) -> tuple[int, str]:
    """The exit code of a tool run on the project, and what it says. Raises `HarnessError` where it is missing."""
    command = Command((sys.executable, "-m", module, *words), cwd=root, timeout=_SECONDS, name=module)
    finished = run_command(command)
    said = f"{finished.stdout_tail}\n{finished.stderr_tail}".strip()
    if f"No module named {module}" in said or finished.exit_code is None:
        raise HarnessError(f"{module} cannot be run: {said[-300:]}; install the project's dev dependencies")
    return finished.exit_code, said


def sources_digest(root: Path, *patterns: str) -> str:
    """One digest over the names and contents of the files that patterns find in the project."""
    digest = hashlib.sha256()
    for pattern in patterns:
        for file in sorted(root.glob(pattern)):
            if file.is_file():
                digest.update(f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def needed_packages(name: str, extras: Iterable[str] = ()) -> dict[str, str]:
    """Every installed package that `name` with these extras needs, directly or not: its licence in its own words.

    Raises `HarnessError` where `name` itself is not installed: then nothing says what it needs.
    """
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise HarnessError(f"{name} is not installed, so nothing tells what it needs; `pip install -e .`") from None
    found: dict[str, str] = {}
    todo = [(name, frozenset(extras))]
    while todo:
        package, wanted = todo.pop()
        try:
            distribution = importlib.metadata.distribution(package)
        except importlib.metadata.PackageNotFoundError:
            continue  # needed on another system or Python only
        for requirement in distribution.requires or ():
            other = re.match(r"[A-Za-z0-9._-]+", requirement)
            marker = re.search(r"extra\s*==\s*['\"]([^'\"]+)", requirement)
            if other is None or (marker is not None and marker.group(1) not in wanted):
                continue
            key = re.sub(r"[-_.]+", "-", other.group()).lower()
            if key not in found and key != name:
                found[key] = ""
                todo.append((key, frozenset()))
        key = re.sub(r"[-_.]+", "-", package).lower()
        if key != name:
            found[key] = _licence(distribution)
    return found


def copyleft(licences: dict[str, str]) -> list[str]:
    """The packages whose licence would bind whoever builds on them, and that offer no other."""
    bound = []
    for name, words in sorted(licences.items()):
        plain = _WEAK.sub("", words)
        if _STRONG.search(plain) and not re.search(r"\b(?:MIT|BSD|Apache|MPL)\b", plain):
            bound.append(f"{name} ({words[:60]})")
    return bound


def repeated_code(files: Iterable[Path]) -> list[str]:
    """Where a run of tokens stands that is found earlier too: `file:line is file:line`, one line for each run.

    Names and values count, layout, comments and docstrings do not; imports are left out.
    """
    seen: dict[tuple[str, ...], tuple[Path, int]] = {}
    found: dict[tuple[Path, Path], str] = {}
    for file in files:
        tokens = list(_tokens(file))
        texts = [text for text, _ in tokens]
        for start in range(0, len(tokens) - _SAME_TOKENS + 1):
            run = tuple(texts[start : start + _SAME_TOKENS])
            at = (file, tokens[start][1])
            first = seen.setdefault(run, at)
            if first != at and (first[0] != file or at[1] - first[1] > 20):
                found.setdefault((file, first[0]), f"{file.name}:{at[1]} is {first[0].name}:{first[1]}")
    return sorted(found.values())


def _tokens(file: Path) -> Iterator[tuple[str, int]]:
    by_line: dict[int, list[tokenize.TokenInfo]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        by_line[token.start[0]].append(token)
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    inside = False
    for line in sorted(by_line):
        words = [token for token in by_line[line] if token.type not in layout]
        if not words:
            continue
        if inside or words[0].string in ("import", "from"):
            inside = not any(token.string == ")" for token in words) and (inside or words[-1].string == "(")
            continue
        if len(words) == 1 and words[0].type == tokenize.STRING:
            continue
        yield from ((token.string, line) for token in words)


def _licence(distribution: importlib.metadata.Distribution) -> str:
    meta = distribution.metadata
    own = [line for name in ("License-Expression", "License") for line in (meta.get_all(name) or ())]
    words = [line.splitlines()[0] for line in own if line.strip()]
    classifiers = [line.rpartition("::")[2].strip() for line in meta.get_all("Classifier") or () if "License" in line]
    return "; ".join(dict.fromkeys([*words, *classifiers]))


def quality_counts(trial: Trial) -> dict[str, int]:
    """How much each part of the gate finds, by its name; once for the same sources."""
    root = trial.root
    if not (root / "pyproject.toml").is_file() or not (root / "plugin").is_dir():
        raise NotHere("asks the project's own checkout, and this is none")
    parts = [f"{folder.name}/**/*.py" for folder in sorted(root.iterdir()) if _is_part(folder)]
    data = {"sources": sources_digest(root, *parts, "*.py", "pyproject.toml")}
    counts: dict[str, int] = trial.remember("quality", data, lambda: _count(root))
    return counts


def _count(root: Path) -> dict[str, int]:
    lint = findings_of(root, "ruff", "check", ".", "--output-format", "concise")
    layout = findings_of(root, "ruff", "format", "--check", ".")
    types = findings_of(root, "mypy")
    licences = needed_packages("apr-leaderboard", ("reference", "proof"))
    return {
        "findings of ruff": _lines(lint, r"^\S+:\d+:\d+:"),
        "files out of ruff's layout": _lines(layout, r"^Would reformat"),
        "errors of mypy --strict": _lines(types, r": error:"),
        "dependencies under copyleft": len(copyleft(licences)),
        "stretches of repeated code": len(repeated_code(sorted((root / "plugin").rglob("*.py")))),
    }


def _is_part(folder: Path) -> bool:
    """A folder of the project's own; an environment in it, or a tool's cache, is none."""
    return folder.is_dir() and not folder.name.startswith(".") and not (folder / "pyvenv.cfg").is_file()


def _lines(told: tuple[int, str], pattern: str) -> int:
    """How many lines tell of a finding; a tool that ended badly without one counts for one."""
    code, said = told
    return max(len(re.findall(pattern, said, re.MULTILINE)), 1 if code else 0)
