"""The judged answers of an evaluation, read from a report folder's files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from apr_leaderboard.bench import KINDS
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.report.evidence import read_lines
from apr_leaderboard.report.runs import RecordedRun

__all__ = ["JudgedAnswer", "judged_answers"]

_FENCE = "```"


@dataclass(frozen=True)
class JudgedAnswer:
    """One sample: what was asked (empty where a file of completions does not say), what came back, what became of it.

    `answer` is the whole of what the model said, the beginning that was put into its mouth included, and the closing
    fence that a stop string cut off.
    """

    task_id: str
    sample: int
    prompt: str
    answer: str
    verdict: str
    how: str
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether its check ran to the end."""
        return self.verdict == "passed"


def judged_answers(run: RecordedRun, result: BenchmarkResult, *, texts: bool = True) -> Iterator[JudgedAnswer]:
    """Every sample in order; without `texts`, samples/ is not opened and prompt and answer are empty.

    Raises `RequestError` where the run's folder lacks the files.
    """
    files = run.evidence(result)
    needed = ("verdicts", "evidence", "samples") if texts else ("verdicts", "evidence")
    missing = [kind for kind in needed if kind not in files]
    if missing:
        raise RequestError(
            f"{run.folder}: {result.id} has no {', '.join(missing)}; accepted: a folder as --apr-report wrote it"
        )
    found = {_key(line): line for line in read_lines(files["evidence"])}
    said = {_key(line): line for line in read_lines(files["samples"])} if texts else {}
    for line in read_lines(files["verdicts"]):
        asked = said.get(_key(line), {})
        prompt = asked.get("prompt") or {}
        answer = next((str(asked[kind]) for kind in KINDS if kind in asked), "")
        yield JudgedAnswer(
            task_id=line["task_id"],
            sample=line["sample"],
            prompt=_question(prompt),
            answer=_closed(str(prompt.get("prefill") or "") + answer, prompt.get("stop") or ()),
            verdict=line["verdict"],
            how=line["how"],
            error=str(found.get(_key(line), {}).get("error", "")),
        )


def _key(line: dict[str, Any]) -> tuple[str, int]:
    return line["task_id"], line["sample"]


def _closed(answer: str, stop: Sequence[str]) -> str:
    """The answer with its last fence closed, where a stop string is what ended it there."""
    cut = any(_FENCE in one for one in stop) and answer.count(_FENCE) % 2
    return f"{answer.rstrip()}\n{_FENCE}" if cut else answer


def _question(prompt: dict[str, Any]) -> str:
    """The last thing the user said, or the bare text that was to be continued."""
    said = [turn["content"] for turn in prompt.get("messages") or () if turn["role"] == "user"]
    return str(said[-1]) if said else str(prompt.get("raw") or "")
