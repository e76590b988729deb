"""Preference pairs out of judged samples: an answer that passed beside one of the same task that failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from apr_leaderboard.bench import contamination_of
from apr_leaderboard.proof.kernels import preference
from apr_leaderboard.report.analysis.samples import JudgedAnswer

__all__ = ["PairsReport", "make_pairs"]


@dataclass(frozen=True)
class PairsReport:
    """The pairs (task_id, prompt, chosen, rejected) and what became of every task that gave none.

    `duplicates` counts answers of a task that another one of it equals, white space aside. `contaminated` names, for
    each task left out, a problem of a held-out benchmark that it repeats.
    """

    pairs: tuple[dict[str, str], ...]
    tasks: int
    all_passed: tuple[str, ...]
    all_failed: tuple[str, ...]
    no_prompt: tuple[str, ...]
    duplicates: int
    contaminated: dict[str, str]
    over_the_most: int


def make_pairs(
    answers: Iterable[JudgedAnswer],
    held_out: Mapping[str, str],
    *,
    most: int | None = None,
    n: int = 10,
    threshold: float = 0.5,
) -> PairsReport:
    """Every passing answer beside every failing one, task by task, at most `most` a task.

    `held_out` maps a problem's name to its text; a task is left out if its question or answers hold at least
    `threshold` of the n-word runs of one of them (`bench.contamination_of`). Which pairs are taken depends on the
    samples' order alone, and uses each answer once before any twice.
    """
    tasks: dict[str, list[JudgedAnswer]] = {}
    for one in answers:
        tasks.setdefault(one.task_id, []).append(one)
    unique = {task: _unique(group) for task, group in tasks.items()}
    usable = {task: group for task, group in unique.items() if 0 < sum(one.passed for one in group) < len(group)}
    no_prompt = tuple(task for task, group in usable.items() if not group[0].prompt.strip())
    asked = {task: group for task, group in usable.items() if task not in no_prompt}
    contaminated = _contaminated(asked, held_out, n, threshold)
    problems = {
        task: (group[0].prompt, [(one.answer, one.passed) for one in group])
        for task, group in asked.items()
        if task not in contaminated
    }
    everything = {task: list(preference.pairs({task: problem})) for task, problem in problems.items()}
    kept = [pair for task, pairs in everything.items() for pair in _spread(pairs, problems[task][1], most)]
    return PairsReport(
        pairs=tuple(kept),
        tasks=len(tasks),
        all_passed=tuple(task for task, group in unique.items() if all(one.passed for one in group)),
        all_failed=tuple(task for task, group in unique.items() if not any(one.passed for one in group)),
        no_prompt=no_prompt,
        duplicates=sum(len(tasks[task]) - len(group) for task, group in unique.items()),
        contaminated=contaminated,
        over_the_most=sum(map(len, everything.values())) - len(kept),
    )


def _unique(group: Sequence[JudgedAnswer]) -> list[JudgedAnswer]:
    """Answers that differ in more than white space, empty ones left out.

    One text judged both ways (a time-out here and not there) says nothing about what to prefer; it goes altogether.
    """
    found: dict[str, JudgedAnswer] = {}
    torn = set()
    for one in group:
        text = " ".join(one.answer.split())
        first = found.setdefault(text, one)
        if first.passed != one.passed:
            torn.add(text)
    return [one for text, one in found.items() if text and text not in torn]


def _contaminated(
    tasks: Mapping[str, Sequence[JudgedAnswer]], held_out: Mapping[str, str], n: int, threshold: float
) -> dict[str, str]:
    """Task to the first held-out problem that it repeats."""
    texts = {task: "\n".join([group[0].prompt, *(one.answer for one in group)]) for task, group in tasks.items()}
    # All at once first: most held-out problems are in no text at all, and need no look at each.
    suspects = contamination_of(held_out, texts.values(), n, threshold).flagged
    found: dict[str, str] = {}
    for task, text in texts.items() if suspects else ():
        flagged = contamination_of({name: held_out[name] for name in suspects}, [text], n, threshold).flagged
        if flagged:
            found[task] = flagged[0]
    return found


def _spread(
    pairs: Sequence[dict[str, str]], group: Sequence[tuple[str, bool]], most: int | None
) -> list[dict[str, str]]:
    """A task's pairs, along the diagonals of passed x failed, so that no answer comes twice before all came once."""
    chosen = {text: place for place, text in enumerate(text for text, passed in group if passed)}
    rejected = {text: place for place, text in enumerate(text for text, passed in group if not passed)}

    def turn(pair: dict[str, str]) -> tuple[int, int]:
        i, j = chosen[pair["chosen"]], rejected[pair["rejected"]]
        return ((j - i) % len(rejected), i)

    return sorted(pairs, key=turn)[:most]
