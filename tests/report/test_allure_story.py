"""What items came to, in Allure's words: a pure function, so tested without running anything."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apr_leaderboard.model.results import (
    CriterionOutcome,
    CriterionResult,
    Measure,
    ObligationOutcome,
    ObligationResult,
    ProblemResult,
    StageOutcome,
    StageResult,
)
from apr_leaderboard.report.allure.criteria import criterion_story
from apr_leaderboard.report.allure.story import Category, Status, Story, ids_of, story_of


def _stage(**more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"recipe": "recipe-a", "stage": "finetune", "engine": "apr", "profile": "smoke"}
    body = StageResult(**{**known, "outcome": "passed", "seconds": 1.0, "cached": False, "command": "apr", **more})
    return {"stage": body.model_dump(mode="json")}


def _told(payload: dict[str, Any]) -> Story:
    story = story_of(payload)
    assert story is not None
    return story


@pytest.mark.parametrize(
    ("outcome", "digest", "status", "category"),
    [
        (StageOutcome.PASSED, "d", Status.PASSED, None),
        (StageOutcome.FAILED, None, Status.FAILED, Category.ENGINE),
        (StageOutcome.FAILED, "d", Status.FAILED, Category.CANDIDATE),
        (StageOutcome.ERROR, None, Status.BROKEN, Category.HARNESS),
        (StageOutcome.NOT_REACHED, None, Status.SKIPPED, Category.NOT_RUN),
    ],
)
def test_stage_outcome_has_its_status_and_category(
    outcome: StageOutcome, digest: str | None, status: Status, category: Category | None
) -> None:
    """A stage that was done and still failed missed a threshold: the candidate's, not the engine's."""
    story = _told(_stage(outcome=outcome, digest=digest, reason="why"))
    assert (story.status, story.category) == (status, category)
    assert story.message == (f"{category}: why" if category else "")


def test_stage_title_has_the_measured_figure() -> None:
    """The figures that tell most of that stage."""
    story = _told(_stage(figures={"first_loss": 2.5, "last_loss": 0.123456, "n_pairs": 7}))
    assert story.name == "finetune: first_loss 2.5, last_loss 0.1235"


def _problem(**more: Any) -> dict[str, Any]:
    info = {
        "name": "humaneval",
        "model": "m",
        "engine": "apr",
        "profile": "standard@1",
        "n_problems": 1,
        "n_samples": 1,
    }
    return {"problem": {"info": info, "index": 0, "task_id": "HumanEval/0", "model": {"m": "f" * 64}, **more}}


def _judged(*verdicts: str) -> dict[str, Any]:
    one = ProblemResult(
        task_id="HumanEval/0",
        n=len(verdicts),
        c=verdicts.count("passed"),
        verdict=verdicts[0] if verdicts else "missing",
        verdicts=verdicts if len(verdicts) > 1 else (),
    )
    return one.model_dump(mode="json")


@pytest.mark.parametrize(
    ("found", "name", "status", "category"),
    [
        ({"result": _judged("passed")}, "solved", Status.PASSED, None),
        ({"result": _judged("wrong")}, "unsolved (wrong)", Status.FAILED, Category.CANDIDATE),
        ({"result": _judged("wrong", "passed", "wrong")}, "solved by 1 of 3", Status.PASSED, None),
        (
            {"result": _judged("wrong", "timeout", "wrong")},
            "unsolved (1 x timeout, 2 x wrong)",
            Status.FAILED,
            "candidate",
        ),
        ({"result": _judged()}, "no completion", Status.SKIPPED, Category.NOT_RUN),
        ({"result": _judged("passed"), "invalid": "its reference fails"}, "invalid here", Status.BROKEN, "harness"),
        ({"lost": "finetune failed"}, "not reached", Status.SKIPPED, Category.NOT_RUN),
        ({"lost": "infra: no memory"}, "no verdict", Status.BROKEN, Category.HARNESS),
    ],
    ids=["solved", "unsolved", "partly", "never", "missing", "invalid", "not-reached", "infra"],
)
def test_problem_is_told_by_what_was_found(
    found: dict[str, Any], name: str, status: Status, category: Category | str | None
) -> None:
    """Title, status, whose trouble."""
    story = _told(_problem(**found))
    assert (story.name, story.status, story.category) == (f"HumanEval/0: {name}", status, category)


@given(digest=st.text("0123456789abcdef", min_size=64, max_size=64), verdict=st.sampled_from(["passed", "wrong"]))
def test_history_depends_on_no_verdict_and_no_digest(digest: str, verdict: str) -> None:
    """Only on task, engine, model, profile."""
    story = _told(_problem(result=_judged(verdict), model={"m": digest}))
    other = _told(_problem(result=_judged("timeout")))
    assert ids_of(story.full_name, story.identity) == ids_of(other.full_name, other.identity)


def test_problem_of_a_file_tells_its_digest_and_what_is_stated() -> None:
    """No model was seen: the digest is that of the completions, and the label is called what it is."""
    payload = _problem(result=_judged("passed"))
    given = {"file": "x.jsonl", "sha256": "a" * 64, "stated": ["engine", "model"]}
    payload["problem"]["info"] = {**payload["problem"]["info"], "completions": given}
    facts = _told(payload).facts
    assert facts["completions digest"] == "f" * 16
    assert facts["stated"] == "engine, model"
    assert "model digest" not in facts


@given(key=st.sampled_from(["engine", "model", "profile"]), value=st.text(min_size=1, max_size=20))
def test_history_differs_where_the_subject_does(key: str, value: str) -> None:
    """Another engine, model or profile has a history of its own; the test is the same."""
    payload = _problem(result=_judged("passed"))
    story = _told(payload)
    payload["problem"]["info"] = {**payload["problem"]["info"], key: f"other {value}"}
    other = _told(payload)
    one, two = ids_of(story.full_name, story.identity), ids_of(other.full_name, other.identity)
    assert one[0] == two[0]
    assert one[1] != two[1]


@pytest.mark.parametrize(
    ("outcome", "saboteur", "status", "category"),
    [
        (ObligationOutcome.HOLDS, "red", Status.PASSED, None),
        (ObligationOutcome.HOLDS, "green", Status.FAILED, Category.HARNESS),
        (ObligationOutcome.HOLDS, "crashed", Status.BROKEN, Category.HARNESS),
        (ObligationOutcome.VIOLATED, "red", Status.FAILED, Category.CANDIDATE),
        (ObligationOutcome.OPEN, "not-run", Status.SKIPPED, Category.BLOCKED),
        (ObligationOutcome.ERROR, "not-run", Status.BROKEN, Category.HARNESS),
    ],
)
def test_obligation_is_told_with_its_level(
    outcome: ObligationOutcome, saboteur: Any, status: Status, category: Category | None
) -> None:
    """An obligation that holds while its saboteur passes too is nobody's success."""
    found = ObligationResult(id="X-1", contract="x", level="proved", outcome=outcome, saboteur=saboteur, evidence="e")
    story = _told({"obligation": found.model_dump(mode="json")})
    assert (story.status, story.category) == (status, category)
    assert story.place == ("contracts", "x", "proved")


class _Item:
    """What of an item is looked at."""

    name = "test_wanda[apr-smoke]"

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return pytest.mark.criterion("AC-008").mark if name == "criterion" else None


@pytest.mark.parametrize(
    ("outcome", "status", "category"),
    [
        (CriterionOutcome.PASS, Status.PASSED, None),
        (CriterionOutcome.FAIL, Status.FAILED, Category.CANDIDATE),
        (CriterionOutcome.BLOCKED, Status.SKIPPED, Category.BLOCKED),
        (CriterionOutcome.NOT_RUN, Status.SKIPPED, Category.NOT_RUN),
        (CriterionOutcome.ERROR, Status.BROKEN, Category.HARNESS),
    ],
)
def test_criterion_is_a_behaviour_with_its_figure_in_the_title(
    outcome: CriterionOutcome, status: Status, category: Category | None
) -> None:
    """Epic the part of the mission, feature the claim; the figure that missed its bound comes first."""
    measures = (
        Measure(name="sparsity", value=0.1, bound="0.1", holds=True),
        Measure(name="rise", value=7.25, unit="%", bound="< 5", holds=False),
    )
    found = CriterionResult(
        criterion="AC-008",
        part="test_wanda",
        engine="apr",
        model="smoke",
        profile="smoke",
        outcome=outcome,
        reason="it rose",
        measures=measures,
    )
    known = {"claim": "Wanda costs little", "part": "weights"}
    payload = {"criterion": found.model_dump(mode="json")}
    story = criterion_story(cast(pytest.Item, _Item()), payload, "passed", known)
    assert story is not None
    assert story.name == "AC-008: Wanda costs little: rise 7.25 % (must be < 5)"
    assert (story.status, story.category) == (status, category)
    assert story.behaviour == ("Weights", "AC-008 Wanda costs little", "test_wanda")
    assert story.identity == {"engine": "apr", "model": "smoke", "profile": "smoke"}
