"""The oracle's forward pass beside the reference engine's own operations, on the specimen; and its perplexity."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from apr_leaderboard.criteria import Asked, Trial
from apr_leaderboard.criteria.stages import CLASSES, Pass, gaps, own_gaps, pass_of_the_engine, pass_of_the_oracle
from apr_leaderboard.criteria.texts import oracle_logits, oracle_perplexity, token_ids
from apr_leaderboard.engine import Checkpoint
from apr_leaderboard.pipeline import Workbench
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.proof.specimen import Specimen


@pytest.fixture(scope="module")
def specimen(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small random model."""
    folder = tmp_path_factory.mktemp("specimen")
    made = Specimen(1, folder)
    checkpoint: Checkpoint = made.ensure(cast(Any, SimpleNamespace(store=None)))
    return Made(cast(Any, made), checkpoint.path, checkpoint)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """On the reference engine."""
    bench = SimpleNamespace(engine=lambda _: SimpleNamespace(name="reference"))
    return Trial(cast(Workbench, bench), Asked("AC-014", "test_it", "reference", "m"), tmp_path)


@pytest.mark.slow
def test_every_operation_of_the_reference_is_the_oracles_and_every_kind_is_looked_at(
    trial: Trial, specimen: Made
) -> None:
    """In the whole pass, and each on the engine's own inputs; one that is wrong is named."""
    got = pass_of_the_engine(trial, specimen, specimen)
    want = pass_of_the_oracle(specimen, got.tokens)
    assert got.results.keys() == want.results.keys()
    assert max(gap.largest for gap in (*gaps(got, want), *own_gaps(specimen, got))) < 1e-4
    own = {gap.operation.rpartition("/")[2] for gap in own_gaps(specimen, got)}
    assert all(set(names) <= own for names in CLASSES.values())
    wrong = {**got.results, "layer-1/ffn_swigl": got.results["layer-1/ffn_swigl"] * 1.5}
    differing = [gap.operation for gap in own_gaps(specimen, Pass(got.tokens, wrong)) if gap.largest > 1e-3]
    assert differing == ["layer-1/ffn_swigl", "layer-1/ffn_out"]


def test_perplexity_of_the_oracle_predicts_each_token_but_the_first(trial: Trial, specimen: Made) -> None:
    """From the tokens before it."""
    text = "def add(a, b):"
    ids = token_ids(specimen, text)
    logits = oracle_logits(specimen, ids)
    losses = [np.log(np.exp(logits[at]).sum()) - logits[at, ids[at + 1]] for at in range(len(ids) - 1)]
    found, n_tokens = oracle_perplexity(trial, text, specimen)
    assert (n_tokens, found) == (len(ids) - 1, pytest.approx(math.exp(np.mean(losses))))
