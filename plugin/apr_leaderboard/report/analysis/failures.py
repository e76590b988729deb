"""Why answers did not pass: by verdict, and by the error that ended them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from apr_leaderboard.report.analysis.samples import JudgedAnswer

__all__ = ["ErrorKind", "Failures", "failures_of"]

_NAME = re.compile(r"([A-Za-z_][\w.]*)\b")
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b0x[0-9a-fA-F]+\b|-?\b\d+(?:\.\d+)?\b")
_MOST_MESSAGES = 3


@dataclass(frozen=True)
class ErrorKind:
    """One type of error: how often, on which tasks, and its commonest messages, names and numbers as `…`."""

    name: str
    verdict: str
    count: int
    tasks: tuple[str, ...]
    messages: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Failures:
    """All samples of an evaluation. `how` counts the ways programs were found among those that did not pass."""

    samples: int
    passed: int
    verdicts: dict[str, int]
    errors: tuple[ErrorKind, ...]
    how: dict[str, int]


def failures_of(answers: Iterable[JudgedAnswer]) -> Failures:
    """Count; the commonest first, then by name."""
    judged = list(answers)
    failed = [one for one in judged if not one.passed]
    groups: dict[tuple[str, str], list[JudgedAnswer]] = {}
    for one in failed:
        groups.setdefault((_kind(one), one.verdict), []).append(one)
    kinds = [
        ErrorKind(
            name,
            verdict,
            len(group),
            tuple(dict.fromkeys(one.task_id for one in group)),
            _messages(group),
        )
        for (name, verdict), group in groups.items()
    ]
    return Failures(
        samples=len(judged),
        passed=len(judged) - len(failed),
        verdicts=_counted(one.verdict for one in judged),
        errors=tuple(sorted(kinds, key=lambda kind: (-kind.count, kind.name, kind.verdict))),
        how=_counted(one.how for one in failed),
    )


def _kind(one: JudgedAnswer) -> str:
    """The exception's name where there is one, else the verdict."""
    match = _NAME.match(one.error)
    return match[1].rpartition(".")[2] if match and one.verdict in ("wrong", "exception", "syntax") else one.verdict


def _messages(group: list[JudgedAnswer]) -> tuple[tuple[str, int], ...]:
    """Messages with what varies taken out, so that the same mistake counts as the same."""
    texts = Counter(_VARIES.sub("…", one.error.splitlines()[0])[:120] for one in group if one.error)
    return tuple(sorted(texts.items(), key=lambda item: (-item[1], item[0]))[:_MOST_MESSAGES])


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items(), key=lambda item: (-item[1], item[0])))
