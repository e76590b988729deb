"""Does an answer to a structured prompt reason before it codes?"""

from __future__ import annotations

import re
from typing import Final

from apr_leaderboard.bench import profile_named, render
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.generation import DecodeParams

__all__ = ["reasons_first", "structured_answers"]

_FENCE: Final = re.compile(r"^\s*```", re.MULTILINE)
_CODE: Final = re.compile(r"^(?:    |\t)*(?:def |class |import |from \w+ import |return\b)", re.MULTILINE)
_REASON: Final = re.compile(
    r"^\s*(?:\d+[.)]\s|[-*]\s|#+\s"
    r"|(?:first|then|next|finally|input|output|plan|step|sequence|branch|loop|if|for each)\b)",
    re.MULTILINE | re.IGNORECASE,
)
_PROBLEMS: Final = 20
_SCRIPT: Final = "structured-answers.txt"


def reasons_first(text: str) -> bool | None:
    """Whether the first reasoning stands before the first code; None for an answer without one of both.

    Code begins at a fence, else at a line that begins like a definition, an import or a return. Reasoning is a line
    outside of fences that begins like a list, a heading, or a word of a plan.
    """
    starts = [match.start() for match in (_FENCE.search(text), _CODE.search(text)) if match is not None]
    if not starts:
        return None
    first = min(starts)
    if _REASON.search(text[:first]):
        return True
    outside = "".join(_FENCE.split(text)[2::2])
    return False if _REASON.search(outside) else None


def structured_answers(trial: Trial) -> list[str]:
    """The model's answers to HumanEval's first problems in the profile `scot`; scripted ones in the profile smoke."""
    if trial.profile == "smoke":
        file = trial.root / "acceptance" / _SCRIPT
        if not file.is_file():
            raise HarnessError(f"{file}: no such file")
        return [part.strip("\n") for part in file.read_text(encoding="utf-8").split("\n=====\n")]
    problems = trial.workbench.evaluations.problems("humaneval")[:_PROBLEMS]
    prompts = [render(profile_named("scot"), problem, 0, 0) for problem in problems]
    return [one.text for one in trial.ask(trial.model(), prompts, DecodeParams(max_tokens=384))]
