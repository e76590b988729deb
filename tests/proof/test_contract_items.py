# ruff: noqa: E501 - a case a line reads as a table
"""Contracts as test items, from outside: what is collected, what turns red, what is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from proof_toy import sabotage

_XDIST = pytest.param(("-n", "2"), id="xdist", marks=pytest.mark.slow)
WORKERS = pytest.mark.parametrize("workers", [pytest.param((), id="one process"), _XDIST])


def _run(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_inprocess("-p", "no:cacheprovider", "--apr-store=store", *arguments)


@WORKERS
def test_contract_sound_passes_and_tells_levels(toy: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Both items of a bound obligation pass, those of an open one are open; the table and the report say so."""
    result = _run(toy, "-m", "contracts", "--apr-report=out", *workers)
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(
        [
            "contract  obligations  proved  tested  measured  open  saboteurs red",
            "toy       2            1       0       0         1     1/1",
            "binding coverage: 1 of 2 obligations (50.0%)",
            "open: toy::TOY-MOON: needs a rocket",
        ]
    )
    rows = json.loads((toy.path / "out" / "results.json").read_text(encoding="utf-8"))["obligations"]
    assert [(row["id"], row["level"], row["outcome"], row["saboteur"]) for row in rows] == [
        ("TOY-EVEN", "proved", "holds", "red"),
        ("TOY-MOON", "open", "open", "not-run"),
    ]


def test_contract_items_have_the_ids_of_their_tests(toy: pytest.Pytester) -> None:
    """Each falsification test is an item, then its obligation."""
    result = _run(toy, "--collect-only", "-q", "contracts")
    result.stdout.fnmatch_lines(
        [
            "contracts/toy.yaml::FALSIFY-TOY-001",
            "contracts/toy.yaml::TOY-EVEN",
            "contracts/toy.yaml::FALSIFY-TOY-002",
            "contracts/toy.yaml::TOY-MOON",
        ]
    )


def test_contract_mark_selects_one_contract(toy: pytest.Pytester) -> None:
    """`-m contract_toy` collects it, even where markers are strict."""
    assert _run(toy, "-m", "contract_toy", "--strict-markers").parseoutcomes()["passed"] == 2


def test_contract_violated_fails_with_the_counterexample(toy: pytest.Pytester) -> None:
    """A wrong subject turns both items red; the obligation counts as bound no more."""
    sabotage(toy, subject="lambda x: 3 * x")
    result = _run(toy, "-m", "contracts")
    assert result.parseoutcomes()["failed"] == 2
    result.stdout.fnmatch_lines(
        ["*double(1) is 3*", "*it is no double*", "binding coverage: 0 of 2 obligations (0.0%)"]
    )


@WORKERS
def test_saboteur_that_stays_green_fails_the_obligation(toy: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """The test passes, but the obligation does not: nothing shows that the check can fail."""
    sabotage(toy, saboteur="lambda x: 4 * x")
    result = _run(toy, "-m", "contracts", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    outcomes = result.parseoutcomes()
    assert (outcomes["passed"], outcomes["failed"]) == (1, 1)
    result.stdout.fnmatch_lines(["*FALSIFY-TOY-001: the saboteur is green: x from 0 to 9*", "toy * 0/1"])


def test_saboteur_that_crashes_is_an_error(toy: pytest.Pytester) -> None:
    """A crash shows nothing about the property."""
    sabotage(toy, saboteur="lambda x: 1 / 0")
    result = _run(toy, "-m", "contracts")
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["*the saboteur is crashed: ZeroDivisionError: division by zero*", "toy * 0/1"])


def test_check_that_crashes_is_an_error(toy: pytest.Pytester) -> None:
    """Trouble on our side is no failure of the subject."""
    sabotage(toy, subject="lambda x: 1 / 0")
    assert _run(toy, "-m", "contracts").parseoutcomes()["errors"] == 2


def test_falsify_runs_saboteurs_alone(toy: pytest.Pytester) -> None:
    """With --apr-falsify the obligations are asked and the tests are left out; coverage is the same."""
    result = _run(toy, "-m", "contracts", "--apr-falsify")
    assert result.parseoutcomes()["passed"] == 1
    result.stdout.fnmatch_lines(["binding coverage: 1 of 2 obligations (50.0%)"])


BROKEN = [
    ("typo", "kind: schema", "knid: schema", "*toy.yaml:5:3: metadata.knid: unknown key 'knid' (did you mean 'kind'?); allowed: version, *"),
    ("unknown obligation", "obligation: TOY-MOON", "obligation: TOY-SUN", "*falsification_tests?1?.obligation: got 'TOY-SUN'; allowed: TOY-EVEN, TOY-MOON*"),
    ("doubled id", "id: FALSIFY-TOY-002", "id: FALSIFY-TOY-001", "*'FALSIFY-TOY-001' comes again; allowed: each id once*"),
    ("neither bound nor open", "    open: needs a rocket\n", "", "*no check is called FALSIFY-TOY-002; allowed: *"),
    ("bound and open", "it is no double", "it is no double\n    open: needs luck", "*FALSIFY-TOY-001 is open, and yet has a check; allowed: one of both*"),
    ("orphan", "FALSIFY-TOY-001\n    obligation", "FALSIFY-TOY-003\n    open: x\n    obligation", "*check FALSIFY-TOY-001 belongs to none of these tests*"),
    ("obligation without test", "obligation: TOY-MOON", "obligation: TOY-EVEN", "*nothing is tried against TOY-MOON; allowed: at least one falsification test*"),
    ("kernel without harness", "  kind: schema\n", "", "*no kani_harnesses; allowed: harnesses, or metadata.kind*"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN])
def test_contract_broken_is_one_line_and_exit_code_4(toy: pytest.Pytester, old: str, new: str, line: str) -> None:
    """File, position, what was got, what is allowed; no traceback."""
    file: Path = toy.path / "contracts" / "toy.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    result = _run(toy, "-m", "contracts")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len([said for said in result.errlines if said.strip()]) == 1
    result.stderr.fnmatch_lines([line])
