"""acceptance/ in a project with the fake engine: outcomes, saboteurs, gates, from outside."""

from __future__ import annotations

import json
from typing import Any

import pytest
from plugin_types import Project

_CRITERIA = """\
schema: 1
criteria:
  - {id: AC-001, claim: import works, part: models, bound: b, smoke: required, real: required}
  - {id: AC-002, claim: training works, part: training, bound: b, smoke: if-possible, real: required, note: a note}
  - {id: AC-003, claim: for real, part: scores, bound: b, smoke: "no", real: required, note: needs a larger model}
"""
_TESTS = """
import pytest
from apr_leaderboard.engine import FinetuneJob
from apr_leaderboard.model.stage import FinetuneParams

@pytest.mark.criterion("AC-001")
@pytest.mark.falsified_by("SABOTEUR")
def test_import_leaves_a_skill(trial):
    '''A claim.'''
    skill = (trial.model().checkpoint.path / "skill").read_text()
    trial.measure("letters", trial.given([len(skill)])[-1:] == [9], "true", trial.given([len(skill)])[-1:] == [9])

@pytest.mark.criterion("AC-002")
@pytest.mark.unfalsifiable("a fake learns nothing")
def test_training_leaves_another(trial, tmp_path):
    params = FinetuneParams(dataset="x")
    made = trial.make(lambda found: FinetuneJob(found[0], tmp_path, params), params, [trial.model()])
    trial.measure("skill", (made.checkpoint.path / "skill").read_text(), "trained", True)

@pytest.mark.criterion("AC-003")
@pytest.mark.unfalsifiable("never")
def test_a_real_model(trial):
    raise AssertionError("never asked in smoke")
"""
_DEFECT = """\
schema: 1
defects:
  - {id: no-skill, engine: reference, versions: ["1"], criteria: [AC-001], command: fake import x, expected: a skill,
     got: none, shown: {output: x}, found: "2026-11-23"}
"""
_REFUSAL = "schema: 1\nrefusals:\n  - {criterion: AC-002, engine: reference, words: will not finetune}\n"


@pytest.fixture
def accepting(project: Project) -> Project:
    """The fake project with three criteria."""
    folder = project.path / "acceptance"
    folder.mkdir()
    (folder / "criteria.yaml").write_text(_CRITERIA)
    (folder / "test_claims.py").write_text(_TESTS.replace("SABOTEUR", "a-stage-is-left-out"))
    return project


def results_of(project: Project) -> dict[str, dict[str, Any]]:
    """Criterion -> its result in the report."""
    body = json.loads((project.path / "out" / "results.json").read_text())
    return {one["criterion"]: one for one in body["criteria"]}


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_acceptance_run_decides_each_criterion(accepting: Project, workers: int) -> None:
    """Passed, and what the profile cannot decide not run, alone or with workers."""
    result = accepting.run("-m", "acceptance", "--apr-report=out", workers=workers)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["AC-001 *pass (letters True, true)", "criteria: 2 pass, 1 not-run"])
    found = results_of(accepting)
    assert {name: one["outcome"] for name, one in found.items()} == {
        "AC-001": "pass", "AC-002": "pass", "AC-003": "not-run",
    }  # fmt: skip
    assert found["AC-001"]["measures"][0]["bound"] == "true"
    assert found["AC-001"]["commands"]
    assert found["AC-003"]["reason"] == "needs a larger model"


@pytest.mark.slow
def test_acceptance_mark_of_one_criterion_asks_it_alone(accepting: Project) -> None:
    """`-m ac_002` is enough."""
    accepting.run("-m", "ac_002", "--apr-report=out")
    assert list(results_of(accepting)) == ["AC-002"]


@pytest.mark.slow
def test_acceptance_of_a_refusing_engine_is_blocked_with_its_words(accepting: Project) -> None:
    """Skipped, not failed; the words are the evidence."""
    accepting.order("fail finetune")
    result = accepting.run("-m", "acceptance", "--apr-report=out")
    assert result.ret == 0
    found = results_of(accepting)["AC-002"]
    assert (found["outcome"], "my own words" in found["words"]) == ("blocked", True)


@pytest.mark.slow
def test_acceptance_of_a_known_refusal_that_is_gone_fails(accepting: Project) -> None:
    """No longer blocked: the entry must go."""
    (accepting.path / "acceptance" / "known_defects.yaml").write_text(_REFUSAL)
    accepting.order("fail finetune")
    assert accepting.run("-m", "acceptance").ret == 0
    accepting.order("none")
    result = accepting.run("-m", "acceptance")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*no longer blocked by 'will not finetune'*the known refusal must go*"])


@pytest.mark.slow
def test_acceptance_of_a_missed_bound_fails_with_figure_and_bound(accepting: Project) -> None:
    """No traceback: the figure, and what it must be."""
    tests = (accepting.path / "acceptance" / "test_claims.py").read_text().replace("== [9]", "== [8]")
    (accepting.path / "acceptance" / "test_claims.py").write_text(tests)
    result = accepting.run("-m", "acceptance")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["letters: False; it must be true"])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_acceptance_of_a_failure_behind_a_known_defect_carries_its_command(accepting: Project) -> None:
    """It shows the failure to somebody who has neither this store nor this machine."""
    (accepting.path / "acceptance" / "known_defects.yaml").write_text(_DEFECT)
    tests = (accepting.path / "acceptance" / "test_claims.py").read_text().replace("== [9]", "== [8]")
    (accepting.path / "acceptance" / "test_claims.py").write_text(tests)
    accepting.run("-m", "ac_001", "--apr-report=out")
    told = results_of(accepting)["AC-001"]["commands"][-1]
    assert told == "# no-skill: for sh, in an empty folder with tiny_model.py\nfake import x"


def test_defect_whose_command_needs_what_is_not_here_is_skipped_with_its_name(accepting: Project) -> None:
    """Not taken for mended."""
    defects = _DEFECT.replace("command:", "needs: [no-such-program], command:")
    (accepting.path / "acceptance" / "known_defects.yaml").write_text(defects)
    (accepting.path / "acceptance" / "test_known.py").write_text("def test_there(defect, defective):\n    assert 0\n")
    result = accepting.run("-m", "defects", "-rs")
    result.assert_outcomes(skipped=1, deselected=3)
    result.stdout.fnmatch_lines(["SKIPPED*its command needs no-such-program on PATH"])


@pytest.mark.slow
def test_acceptance_where_our_side_breaks_is_an_error(accepting: Project) -> None:
    """Not a failure of the candidate."""
    tests = (accepting.path / "acceptance" / "test_claims.py").read_text().replace("skill = (", "1 / 0; skill = (")
    (accepting.path / "acceptance" / "test_claims.py").write_text(tests)
    result = accepting.run("-m", "acceptance", "--apr-gate", "criteria")
    result.assert_outcomes(errors=1, passed=1)
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*gate criteria: undecided (exit code 2)*"])


@pytest.mark.slow
def test_falsify_of_acceptance_is_red_where_the_saboteur_is_caught(accepting: Project) -> None:
    """And says what cannot be falsified."""
    result = accepting.run("-m", "acceptance", "--apr-falsify")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["saboteurs: 1 of 1 red; 2 tests stated as unfalsifiable"])


def test_falsify_of_a_test_that_cannot_fail_fails(accepting: Project) -> None:
    """Green with its saboteur in place."""
    tests = (accepting.path / "acceptance" / "test_claims.py").read_text()
    (accepting.path / "acceptance" / "test_claims.py").write_text(
        tests.replace('"true", trial.given', '"true", True or trial.given')
    )
    result = accepting.run("-m", "acceptance", "--apr-falsify")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["green with its saboteur in place: a stage of the recipe is not done"])


@pytest.mark.parametrize(("orders", "gate", "code"), [("none", "criteria", 0), ("fail import", "criteria", 1)])
def test_gate_of_a_run_is_its_exit_code(accepting: Project, orders: str, gate: str, code: int) -> None:
    """A required criterion that is blocked keeps it closed."""
    accepting.order(orders)
    assert accepting.run("-m", "acceptance", "--apr-gate", gate).ret == code


def test_gate_regression_without_a_baseline_is_a_usage_error(accepting: Project) -> None:
    """One line, before anything runs."""
    result = accepting.run("-m", "acceptance", "--apr-gate", "regression")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*accepted: --apr-gate regression with --apr-baseline results.json*"])


@pytest.mark.slow
def test_gate_regression_against_an_equal_run_is_open(accepting: Project) -> None:
    """The report of one run is the baseline of the next."""
    accepting.run("-m", "acceptance", "--apr-report=out")
    result = accepting.run("-m", "acceptance", "--apr-gate", "regression", "--apr-baseline", "out")
    assert result.ret == 0
    accepting.order("fail import")
    worse = accepting.run("-m", "acceptance", "--apr-gate", "regression", "--apr-baseline", "out", "--apr-store=other")
    assert worse.ret == 1


def test_acceptance_test_without_a_saboteur_is_refused_when_falsifying(accepting: Project) -> None:
    """What is accepted is named."""
    tests = (accepting.path / "acceptance" / "test_claims.py").read_text()
    tests = tests.replace('@pytest.mark.falsified_by("a-stage-is-left-out")\n', "")
    (accepting.path / "acceptance" / "test_claims.py").write_text(tests)
    result = accepting.run("-m", "acceptance", "--apr-falsify")
    assert result.ret != 0
    assert "accepted: the mark falsified_by, or unfalsifiable" in result.stdout.str() + result.stderr.str()


def test_junit_of_acceptance_carries_figures(accepting: Project) -> None:
    """As properties of the test case."""
    accepting.run("-m", "ac_001", "--junitxml=junit.xml")
    text = (accepting.path / "junit.xml").read_text()
    assert '<property name="figure letters" value="True"' in text
    assert '<property name="criterion" value="AC-001"' in text
