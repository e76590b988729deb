"""The smoke suite and its training data: made by the committed program, sound, and apart from one another."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from apr_leaderboard.bench.contamination import contamination_of
from apr_leaderboard.bench.formats.humaneval import complete_instruction
from apr_leaderboard.engine.reference.smoke_corpus import documents
from apr_leaderboard.engine.reference.smoke_problems import instruct_rows, main, preference_rows, problems
from apr_leaderboard.engine.reference.smoke_tasks import FAMILIES, HELD_OUT, family_named

_RECIPES = Path(__file__).parents[2] / "recipes"
_FILES = (
    "suites/smoke.jsonl",
    "data/smoke-instruct.jsonl",
    "data/smoke-preferences.jsonl",
    "data/smoke-heldout.txt",
)


def _passes(problem: Mapping[str, str], body: str) -> bool:
    scope: dict[str, object] = {}
    exec(problem["prompt"] + body + "\n" + problem["test"], scope)
    try:
        scope["check"](scope[problem["entry_point"]])  # type: ignore[operator]
    except Exception:
        return False
    return True


def test_committed_files_are_what_the_program_writes(tmp_path: Path) -> None:
    """Suite, pairs and held-out text, byte for byte."""
    main([str(tmp_path)])
    for name in _FILES:
        assert (_RECIPES / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_suite_has_sixteen_problems_whose_solutions_pass() -> None:
    """Each canonical solution passes its own check."""
    rows = problems()
    assert [row["task_id"] for row in rows] == [f"smoke/{i}" for i in range(16)]
    assert all(_passes(row, row["canonical_solution"]) for row in rows)


def test_suite_rejects_every_other_familys_answer() -> None:
    """A body of another family, or with another number, fails: the checks tell the tasks apart."""
    for row, (name, args, k) in zip(problems(), sorted(HELD_OUT), strict=True):
        own = family_named(name)
        wrong = [
            family.body.format(a=args[0], b=args[-1], k=number)
            for family in FAMILIES
            for number in range(2, 10)
            if family.name != name or (family.has_constant and number != k)
        ]
        right = own.body.format(a=args[0], b=args[-1], k=k)
        for body in set(wrong) - {right}:
            assert not _passes(row, f"    return {body}\n"), (row["task_id"], body)


def test_suites_docstring_examples_are_true() -> None:
    """The worked example in each prompt is what the canonical solution gives."""
    for row in problems():
        lines = row["prompt"].splitlines()
        call = next(line for line in lines if ">>>" in line).split(">>> ")[1]
        shown = lines[[">>>" in line for line in lines].index(True) + 1].strip()
        scope: dict[str, object] = {}
        exec(row["prompt"] + row["canonical_solution"], scope)
        assert eval(call, scope) == ast.literal_eval(shown)


def test_pairs_ask_in_the_words_of_the_standard_profile() -> None:
    """An instruction is what `standard` makes of the prompt inside it."""
    for row in instruct_rows():
        prompt = row["instruction"].split("```python\n")[1].split("\n```")[0]
        assert row["instruction"] == complete_instruction(prompt)


def test_pairs_answers_do_what_their_docstrings_show() -> None:
    """Each answer gives the result of its request's worked example."""
    for row in instruct_rows():
        lines = row["instruction"].splitlines()
        at = next(i for i, line in enumerate(lines) if ">>>" in line)
        scope: dict[str, object] = {}
        exec(row["response"].removeprefix("```python\n").removesuffix("```"), scope)
        assert eval(lines[at].split(">>> ")[1], scope) == ast.literal_eval(lines[at + 1].strip())


def test_pairs_and_corpus_hold_no_problem() -> None:
    """10-grams of words, threshold 0.5: none flagged, all measured; and no canonical function appears in either."""
    texts = {row["task_id"]: row["prompt"] + row["canonical_solution"] for row in problems()}
    pairs = [f"{row['instruction']}\n{row['response']}" for row in instruct_rows()]
    corpus = documents(100, 4000)
    found = contamination_of(texts, [*pairs, *corpus])
    assert found.measured == 16
    assert found.flagged == ()
    for row in problems():
        signature = row["prompt"].splitlines()[0]
        whole = f"{signature}\n{row['canonical_solution']}"
        assert not any(whole in text for text in (*pairs, *corpus)), row["task_id"]


def test_preferences_show_one_right_and_one_wrong_answer() -> None:
    """Both are functions of the name asked for; the worked example or another call tells them apart; no problem."""
    solutions = {row["prompt"].splitlines()[0] + row["canonical_solution"].strip() for row in problems()}
    for row in preference_rows():
        lines = row["prompt"].splitlines()
        at = next(i for i, line in enumerate(lines) if ">>>" in line)
        scope: dict[str, object] = {}
        exec(row["chosen"].removeprefix("```python\n").removesuffix("```"), scope)
        assert eval(lines[at].split(">>> ")[1], scope) == ast.literal_eval(lines[at + 1].strip())
        chosen, rejected = (row[key].splitlines()[1:3] for key in ("chosen", "rejected"))
        assert chosen[0] == rejected[0]
        assert chosen[1] != rejected[1]
        assert not {head + body.strip() for head, body in (chosen, rejected)} & solutions


def test_pairs_fit_their_size() -> None:
    """Under 300 kB, and every line is a pair."""
    path = _RECIPES / "data/smoke-instruct.jsonl"
    assert path.stat().st_size < 300_000
    assert all(set(json.loads(line)) == {"instruction", "response"} for line in path.read_text().splitlines())


@pytest.mark.parametrize("seed", [100, 101])
def test_corpus_from_one_seed_is_the_same_text(seed: int) -> None:
    """Documents depend on the seed alone."""
    assert documents(seed, 50) == documents(seed, 50)
    assert documents(seed, 50) != documents(seed + 1, 50)
