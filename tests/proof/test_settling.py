"""What an obligation comes to of several checks, and what the shared questions to an engine come to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rooted import Rooted, check_of, made_at

from apr_leaderboard.bench import compare_runs
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.contract import Contract, Level, load_contract
from apr_leaderboard.model.generation import Completion, FinishReason
from apr_leaderboard.model.results import ObligationOutcome
from apr_leaderboard.proof import Lab, NotHere, Refuted, Saboteur, answering, measured, proved, settle
from apr_leaderboard.proof.answering import answer_of
from apr_leaderboard.proof.measuring import epoch_losses, step_figures
from apr_leaderboard.proof.weights import read_tensors


def contract_of_two(root: Path) -> Contract:
    """One obligation with two tests."""
    contract = load_contract(root / "contracts" / "inference-throughput.yaml").value
    tests = [one.model_copy(update={"obligation": "TPUT-RATE", "open": None}) for one in contract.falsification_tests]
    return contract.model_copy(update={"falsification_tests": tuple(tests)})


def asked_of_both(root: Path, second: Callable[[Any], str]) -> Any:
    """What an obligation comes to whose first check holds, and whose second is `second`."""

    def holds(subject: object) -> str:
        if subject == "broken":
            raise Refuted("no")
        return "yes"

    contract = contract_of_two(root)
    ids = [test.id for test in contract.falsification_tests]
    bound = {ids[0]: proved(ids[0], second, "sound", "broken"), ids[1]: proved(ids[1], holds, "sound", "broken")}
    return settle("x", contract, contract.proof_obligations[0], bound, Rooted(root))


def test_obligation_refuted_by_one_check_is_violated_though_another_is_not_here(project_root: Path) -> None:
    """What is missing must not hide what was found."""

    def missing(subject: object) -> str:
        raise NotHere("needs a moon")

    def refuted(subject: object) -> str:
        raise Refuted("it is 2")

    contract = contract_of_two(project_root)
    ids = [test.id for test in contract.falsification_tests]
    checks = {id_: proved(id_, ask, 1, 2) for id_, ask in zip(ids, (refuted, missing), strict=True)}
    found = settle("x", contract, contract.proof_obligations[0], checks, Rooted(project_root))
    assert (found.outcome, found.level) == (ObligationOutcome.VIOLATED, Level.PROVED)


def test_obligation_of_which_one_check_is_not_here_is_open(project_root: Path) -> None:
    """It is as strong as its weakest."""

    def missing(subject: object) -> str:
        raise NotHere("needs a moon")

    found = asked_of_both(project_root, missing)
    assert (found.outcome, found.level, found.evidence) == (ObligationOutcome.OPEN, Level.OPEN, "needs a moon")


def test_obligation_with_a_test_that_stays_open_is_open_though_the_other_holds(project_root: Path) -> None:
    """An attempt that nobody made is none that failed."""
    contract = contract_of_two(project_root)
    first, last = contract.falsification_tests
    tests = (first, last.model_copy(update={"open": "needs a moon"}))
    contract = contract.model_copy(update={"falsification_tests": tests})
    bound = {first.id: check_of("pass-at-k", "FALSIFY-PASSK-001")}
    found = settle("x", contract, contract.proof_obligations[0], bound, Rooted(project_root))
    assert (found.outcome, found.evidence) == (ObligationOutcome.OPEN, "needs a moon")


def test_obligation_whose_broken_subject_is_not_here_is_open_and_no_crash(project_root: Path) -> None:
    """A plain run makes no model for a saboteur either."""

    def ask(subject: object) -> str:
        if subject == "broken":
            raise NotHere("needs the broken model, which takes a while")
        return "yes"

    found = asked_of_both(project_root, ask)
    assert (found.outcome, found.saboteur) == (ObligationOutcome.OPEN, Saboteur.NOT_RUN.value)
    assert found.evidence == "needs the broken model, which takes a while"


def test_obligation_of_two_checks_is_as_weak_as_the_weaker(project_root: Path) -> None:
    """By level, and by what its saboteurs came to."""

    def holds(subject: object) -> str:
        if subject == "broken":
            raise Refuted("no")
        return "yes"

    contract = contract_of_two(project_root)
    first, second = (test.id for test in contract.falsification_tests)
    bound = {
        first: proved(first, holds, "sound", "broken"),
        second: measured(second, lambda subject, lab: holds(subject), "sound", "sound too"),
    }
    found = settle("x", contract, contract.proof_obligations[0], bound, Rooted(project_root))
    assert (found.outcome, found.level, found.saboteur) == (ObligationOutcome.HOLDS, Level.MEASURED, "green")
    assert f"{second}: the saboteur is green: yes" in found.evidence


@pytest.mark.parametrize(
    ("lost", "most", "kept"), [(0, 0.02, True), (1, 0.02, False), (1, 0.25, True), (4, 0.25, False)]
)
def test_problems_kept_are_all_but_the_share_that_may_be_lost(
    lost: int, most: float, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four problems, one is a quarter; before, all were solved."""
    before = {f"t/{number}": True for number in range(4)}
    after = {task: number >= lost for number, task in enumerate(before)}
    found = ask_to_keep(before, after, most, tmp_path, monkeypatch)
    assert ("4/4" in found) if kept else found.startswith("Refuted")


def test_model_that_solves_nothing_before_has_nothing_to_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is our choice of model, and no pass."""
    nothing = {"t/0": False}
    assert ask_to_keep(nothing, nothing, 0.02, tmp_path, monkeypatch).startswith("HarnessError")


def ask_to_keep(
    before: dict[str, bool], after: dict[str, bool], most: float, root: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """What `keeps` says of a model that solved this before and that after a stage."""
    from apr_leaderboard.proof import asking

    monkeypatch.setattr(asking, "staged", lambda lab, name, *stages: made_at(root))
    monkeypatch.setattr(asking, "compared", lambda *_: compare_runs(before, after))
    monkeypatch.setattr(Lab, "named", lambda self, name: made_at(root))
    try:
        return asking.keeps(Rooted(root), "m", (), most)
    except (HarnessError, Refuted) as error:
        return f"{type(error).__name__}: {error}"


def test_answer_without_a_token_is_none(tmp_path: Path) -> None:
    """An engine that ends well and says nothing has not opened the model."""
    said: list[Completion] = []

    class Engine:
        name = "x"

        def generate(self, job: Any, out: Path, sink: Callable[[Completion], None], watch: object) -> None:
            for one in said:
                sink(one)

    lab = Rooted(tmp_path)
    lab.workbench.engines = (Engine(),)  # type: ignore[assignment]
    model = Checkpoint(tmp_path / "m", "hf")
    empty = Completion(task_id="contract/0", text="", n_tokens=0, finish=FinishReason.STOP)
    for answers in ([], [empty]):
        said[:] = answers
        with pytest.raises(Refuted, match="no token comes back"):
            answer_of(model, lab)
    said[:] = [empty.model_copy(update={"n_tokens": 4})]
    assert answer_of(model, lab) == "4 tokens"


@pytest.mark.parametrize(("passed", "total", "whole"), [(8, 8, True), (7, 8, False), (0, 0, False)])
def test_check_of_a_checkpoint_passes_in_every_stage_and_in_one_at_least(
    passed: int, total: int, whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of none is no pass."""
    monkeypatch.setattr(answering, "stages_passed", lambda lab, made: (passed, total))
    if whole:
        assert answering.check_passes(made_at(tmp_path), Rooted(tmp_path), answering.keep) == "reference: 8 of 8 stages"
        return
    with pytest.raises(Refuted, match=f"{passed} of {total} stages"):
        answering.check_passes(made_at(tmp_path), Rooted(tmp_path), answering.keep)


def test_loss_of_an_epoch_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    """Not its first, nor its last."""
    rows = [(1, 4.0), (1, 2.0), (2, 1.0), (2, 2.0)]
    lines = [json.dumps({"step": at, "epoch": epoch, "loss": loss}) for at, (epoch, loss) in enumerate(rows)]
    (tmp_path / "losses.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made = made_at(tmp_path / "model")
    assert epoch_losses(made) == [3.0, 1.5]
    assert step_figures(made, "loss") == [4.0, 2.0, 1.0, 2.0]
    with pytest.raises(HarnessError, match="left no margin of each step"):
        step_figures(made, "margin")


def test_tensors_of_safetensors_under_the_programs_own_name_are_read(tmp_path: Path) -> None:
    """Some operations of `apr` leave such files."""
    from safetensors.numpy import save_file

    values = np.arange(4, dtype=np.float32).reshape(2, 2)
    save_file({"w": values}, tmp_path / "m.apr")
    assert read_tensors(Checkpoint(tmp_path / "m.apr", "apr"))["w"].tolist() == values.tolist()
