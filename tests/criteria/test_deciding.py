"""What a test of a criterion comes to, whatever it raises; and the parts that its evidence is made of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apr_leaderboard.criteria import Asked, Trial, decide, saboteur_named
from apr_leaderboard.criteria.auditing import contaminated, quality_scores, training_files
from apr_leaderboard.criteria.probing import reproducible
from apr_leaderboard.criteria.texts import need_hf, oracle_logits, token_ids
from apr_leaderboard.criteria.working import decontaminate
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.errors import (
    EngineCrashedError,
    EngineRefusedError,
    HarnessError,
    SourceUnavailableError,
    StageFailedError,
)
from apr_leaderboard.model.criterion import Criterion, Refusal
from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.pipeline import EngineStep, Workbench
from apr_leaderboard.proof import NotHere, Refuted
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.store import Node

CRITERION = Criterion(id="AC-001", claim="c", part="models", bound="b", smoke="required", real="required")


class Ours(SimpleNamespace):
    """An engine that does nothing but import."""

    name = "fake"

    def identity(self) -> EngineIdentity:
        """Of no build in particular."""
        return EngineIdentity(name="fake", version="1", build="0")

    def capabilities(self) -> frozenset[str]:
        """One."""
        return frozenset({"import"})


def trial_of(folder: Path, saboteur: str | None = None, **workbench: Any) -> Trial:
    """A trial of that engine."""
    bench = SimpleNamespace(engine=lambda _: Ours(), settings=SimpleNamespace(profile="smoke"), **workbench)
    broken = None if saboteur is None else saboteur_named(saboteur)
    return Trial(cast(Workbench, bench), Asked("AC-001", "test_it", "fake", "smoke"), folder, broken)


def raising(error: Exception) -> Any:
    """A test that comes to nothing else."""

    def test() -> None:
        raise error

    return test


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotHere("needs a GPU"), "not-run"),
        (SourceUnavailableError("some-model", ["hf://x: no network"]), "not-run"),
        (Refuted("it is 2; it must be 1"), "fail"),
        (EngineRefusedError("fake", "not offered"), "blocked"),
        (EngineCrashedError("fake", "panic"), "fail"),
        (StageFailedError("eval", "merge", "it broke"), "fail"),
    ],
)
def test_decided_outcome_of_what_a_test_raises(error: Exception, outcome: str, tmp_path: Path) -> None:
    """A model that cannot be had is missing, as hardware is: nobody broke."""
    assert decide(trial_of(tmp_path), CRITERION, raising(error), None).outcome.value == outcome


def test_decided_trouble_of_our_own_is_raised_as_it_is(tmp_path: Path) -> None:
    """It says nothing of the candidate."""
    with pytest.raises(HarnessError, match="no such file"):
        decide(trial_of(tmp_path), CRITERION, raising(HarnessError("x: no such file")), None)


def test_decided_end_without_a_figure_held_against_a_bound_is_our_trouble(tmp_path: Path) -> None:
    """No pass without evidence; a figure that is told alone is none."""
    trial = trial_of(tmp_path)
    with pytest.raises(HarnessError, match="held no figure against a bound"):
        decide(trial, CRITERION, lambda: trial.tell("told", 1), None)
    assert decide(trial, CRITERION, lambda: trial.measure("held", 1, "1", True), None).outcome.value == "pass"


def test_decided_refusal_in_other_words_than_known_fails(tmp_path: Path) -> None:
    """The entry is out of date."""
    refusal = Refusal(criterion="AC-001", engine="fake", words="no draft")
    found = decide(trial_of(tmp_path), CRITERION, raising(EngineRefusedError("fake", "no model")), refusal)
    assert (found.outcome.value, "known to be blocked by 'no draft'" in found.reason) == ("fail", True)


def test_job_that_an_engine_is_not_offered_is_not_run_and_blocks_nothing(tmp_path: Path) -> None:
    """The words would be ours."""
    with pytest.raises(NotHere, match="needs an engine that does bench: fake does import"):
        trial_of(tmp_path).engine_for("bench")


def test_answer_cut_inside_its_fence_scores_as_broken_code() -> None:
    """Not as prose, to which parsing does not apply."""
    rows = [
        {"instruction": "Write a function that adds.", "response": "```python\ndef add(a, b):\n    return a + b\n```"},
        {"instruction": "Say how to subtract one number.", "response": "```python\ndef subtract(first, seco"},
    ]
    assert quality_scores(rows) == [100.0, 50.0]


def test_training_files_are_all_that_is_trained_on_preferences_too(project_root: Path, tmp_path: Path) -> None:
    """Every file beside the recipes, with an answer in each row."""
    found = training_files(trial_of(tmp_path, root=project_root))
    assert set(found) == {file.name for file in (project_root / "recipes" / "data").glob("*.jsonl")}
    assert all(row["instruction"] and row["response"] for rows in found.values() for row in rows)


def test_contaminated_counts_samples_that_hold_a_problem() -> None:
    """Half of the runs of ten words, or more."""
    problem = " ".join(f"word{number}" for number in range(20))
    rows = [{"instruction": problem, "response": "x"}, {"instruction": "another", "response": "thing"}]
    assert contaminated(rows, [problem]) == 1


def test_model_of_another_layout_is_not_here_for_float64(tmp_path: Path) -> None:
    """Before any of it is opened."""
    gguf = Made(cast(Any, None), tmp_path, Checkpoint(tmp_path / "m.gguf", "gguf"))
    for look in (need_hf, lambda made: token_ids(made, "x")):
        with pytest.raises(NotHere, match="Hugging Face layout"):
            look(gguf)


@pytest.mark.parametrize(("saboteur", "missing"), [(None, 0), ("a-defect-without-a-command", 1)])
def test_reproducible_defects_are_those_whose_command_starts_the_engine(
    saboteur: str | None, missing: int, project_root: Path, tmp_path: Path
) -> None:
    """All of the project's own; one less in its saboteur's hands."""
    found, total = reproducible(trial_of(tmp_path, saboteur, root=project_root))
    assert (total - found, total > 0) == (missing, True)


class Refusing(Trial):
    """A trial whose engine ends every job in these words."""

    said = ""

    def make(self, job: object, params: object, models: object, data: Path | None = None) -> Made:
        """Refused."""
        raise EngineRefusedError("apr", self.said, command=("apr", "data", "decontaminate"), exit_code=5)


def refusing(folder: Path, said: str) -> Refusing:
    """With sixty clean samples and six problems beside it."""
    (folder / "recipes" / "data").mkdir(parents=True)
    rows = "".join(f'{{"instruction": "i{number}", "response": "r"}}\n' for number in range(60))
    (folder / "recipes" / "data" / "smoke-instruct.jsonl").write_text(rows)
    problem = SimpleNamespace(task_id="t", prompt="p", canonical="c")
    bench = SimpleNamespace(root=folder, evaluations=SimpleNamespace(problems=lambda _: [problem] * 9))
    trial = Refusing(cast(Workbench, bench), Asked("AC-016", "test_it", "apr", "smoke"), folder)
    trial.said = said
    return trial


def test_contamination_that_a_program_tells_and_does_not_drop_is_taken_at_its_word(tmp_path: Path) -> None:
    """Six of sixty-six, in the words of apr 0.72.3; the command is kept."""
    trial = refusing(tmp_path, "Validation failed: Contamination rate 9.09% exceeds 1% gate (AC-016)")
    assert decontaminate(trial) == (6, 6, 66, None)
    assert trial.commands == ["apr data decontaminate"]


def test_contamination_check_that_is_refused_in_other_words_is_a_refusal(tmp_path: Path) -> None:
    """Nothing was counted."""
    with pytest.raises(EngineRefusedError, match="not implemented"):
        decontaminate(refusing(tmp_path, "not implemented"))


def test_decided_refusal_of_an_earlier_stage_is_blocked_too(tmp_path: Path) -> None:
    """However many stages lie between it and what was asked."""

    def test() -> None:
        try:
            try:
                raise EngineRefusedError("fake", "not offered")
            except EngineRefusedError as error:
                raise StageFailedError("merge", "prune", str(error)) from error
        except StageFailedError as error:
            raise StageFailedError("eval", "prune", error.reason) from error

    found = decide(trial_of(tmp_path), CRITERION, test, None)
    assert (found.outcome.value, found.words) == ("blocked", "not offered")


@pytest.mark.parametrize(("op", "outcome"), [("prune", "fail"), ("import", "blocked"), ("make-smoke", "blocked")])
def test_decided_refusal_of_what_the_engine_made_itself_is_a_failure(op: str, outcome: str, tmp_path: Path) -> None:
    """What it took in is none of its making."""
    trial = trial_of(tmp_path)
    step = EngineStep("a step", cast(Any, Ours()), Node(op, {}), (), lambda models: cast(Any, None))
    made = Made(step, tmp_path)

    def refuse() -> Any:
        raise EngineRefusedError("fake", "not a model")

    found = decide(trial, CRITERION, lambda: trial._own([made], refuse), None)
    assert found.outcome.value == outcome
    assert (f"fake refuses what its own {op} made: not a model" in found.reason) == (outcome == "fail")


def test_decided_assertion_of_our_own_code_is_raised_as_it_is(tmp_path: Path) -> None:
    """One in the test itself is a failure; one below it is our trouble."""

    def claims() -> None:
        assert CRITERION.id == "AC-002", "it is the first"

    found = decide(trial_of(tmp_path), CRITERION, claims, None)
    assert (found.outcome.value, found.reason.splitlines()[0]) == ("fail", "it is the first")
    with pytest.raises(AssertionError):
        decide(trial_of(tmp_path), CRITERION, lambda: oracle_logits(Made(cast(Any, None), tmp_path), [1]), None)
