"""Models come in whole, and predict as the reference does."""

from __future__ import annotations

import pytest

from apr_leaderboard.criteria import Trial
from apr_leaderboard.criteria.incoming import import_gap
from apr_leaderboard.criteria.texts import HELD_OUT, held_out_text, oracle_perplexity, perplexity_of
from apr_leaderboard.proof.measuring import stages_passed


@pytest.mark.criterion("AC-001")
@pytest.mark.falsified_by("import-loses-a-tensor")
def test_import_makes_a_checkpoint_that_the_engine_itself_finds_whole(trial: Trial) -> None:
    """Every stage of the engine's own check passes."""
    passed, total = stages_passed(trial, trial.model())
    trial.measure("stages of the check passed", passed, f"all of {total}", passed == total > 0)


@pytest.mark.criterion("AC-001")
@pytest.mark.falsified_by("import-flips-a-sign")
def test_import_keeps_every_value_of_the_source(trial: Trial) -> None:
    """Floats come through exactly; of block formats both sides read the same blocks."""
    gap, where, count = import_gap(trial.source(), trial.model())
    trial.tell("tensors", count)
    trial.measure(f"largest gap ({where or 'none'})", gap, "below 1e-6 of the tensor's largest value", gap < 1e-6)


@pytest.mark.criterion("AC-002")
@pytest.mark.falsified_by("import-scales-the-norms")
def test_perplexity_is_the_references_on_the_same_tokens(trial: Trial) -> None:
    """One window, the same tokens, an independent forward pass."""
    text = held_out_text(trial, HELD_OUT)
    found, n_tokens = perplexity_of(trial, trial.model(), text)
    wanted, n_wanted = oracle_perplexity(trial, text)
    trial.tell("perplexity", found)
    trial.tell("perplexity by the reference", wanted)
    trial.measure("tokens", n_tokens, f"{n_wanted} or {n_wanted + 1}", n_tokens in (n_wanted, n_wanted + 1))
    trial.measure("perplexity apart", abs(found / wanted - 1), "at most 0.10", abs(found / wanted - 1) <= 0.10)
