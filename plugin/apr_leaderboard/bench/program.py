"""What is run: an answer's program and the check of its problem, ready for the sandbox."""

from __future__ import annotations

from apr_leaderboard.bench.formats import format_named
from apr_leaderboard.bench.problem import Extraction, Problem
from apr_leaderboard.bench.prompts.profile import Profile
from apr_leaderboard.sandbox import Program

__all__ = ["extract", "planted_wrong", "program_for", "self_check_programs"]


def extract(text: str, problem: Problem, prefill: str = "", *, profile: Profile | None = None) -> Extraction:
    """The program in an answer, by the rules of the problem's format.

    `prefill` is what the answer was begun with (`Prompt.prefill`); the profile says whether tabs are replaced first.
    """
    if profile is not None and profile.detab:
        text = text.replace("\t", "    ")
    return format_named(problem.format).extract(text, problem, prefill)


def program_for(problem: Problem, extraction: Extraction) -> Program:
    """The answer's program and its check. An answer without code has an empty source.

    Raises `RequestError` where this machine lacks what the program's language needs.
    """
    source = "" if extraction.no_code else format_named(problem.format).source(problem, extraction.program)
    return Program(source=source, check=problem.check, label=problem.task_id)


def planted_wrong(problem: Problem) -> str:
    """A program that runs but must not pass."""
    return format_named(problem.format).planted_wrong(problem)


def self_check_programs(problem: Problem) -> tuple[Program | None, Program]:
    """The program that must pass (None where the data has no reference solution), and one that must not."""
    right = None
    if problem.canonical is not None:
        source = format_named(problem.format).reference(problem, problem.canonical)
        right = Program(source=source, check=problem.check, label=problem.task_id)
    return right, program_for(problem, Extraction(program=planted_wrong(problem), how="planted"))
