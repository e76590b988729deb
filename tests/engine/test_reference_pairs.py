"""Instruction pairs: only the response counts, and every row is seen once an epoch."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from training_tiny import PAIRS, make_trainable

from apr_leaderboard.engine.reference.losses import masked_loss
from apr_leaderboard.engine.reference.pairs import Pair, TokenPairs, batches, tokenize_pairs
from apr_leaderboard.engine.reference.tokenizer import TextCodec, codec_from_hf


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> TextCodec:
    """A tokenizer with a chat template."""
    folder: Path = make_trainable(tmp_path_factory.mktemp("pairs") / "model")
    return codec_from_hf(folder)


def _tokens(codec: TextCodec, max_seq_len: int = 512) -> TokenPairs:
    pairs = [Pair(row["instruction"], row["response"]) for row in PAIRS]
    return tokenize_pairs(pairs, codec, codec.eos_ids[0], max_seq_len)


def test_mask_of_a_pair_covers_the_response_and_its_end_only(codec: TextCodec) -> None:
    """The masked tokens spell the response; the last one ends the turn."""
    made = _tokens(codec)
    for row, tokens, mask in zip(PAIRS, made.tokens, made.mask, strict=True):
        wanted = tokens[mask == 1].tolist()
        assert codec.decode_bytes(wanted).decode() == row["response"]
        assert wanted[-1] == codec.eos_ids[0]
        before = codec.tokenizer.decode(tokens[: int(np.argmax(mask))].tolist(), skip_special_tokens=False)
        assert before == f"<|im_start|>user\n{row['instruction']}<|im_end|>\n<|im_start|>assistant\n"


def test_loss_outside_the_mask_does_not_count() -> None:
    """Changing logits where the mask is 0 leaves the loss as it was; where it is 1 it moves."""
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((1, 4, 9)).astype(np.float32)
    targets, mask = jnp.asarray([[1, 2, 3, 4]]), jnp.asarray([[0.0, 1.0, 1.0, 0.0]])
    before = float(masked_loss(jnp.asarray(logits), targets, mask))
    outside, inside = logits.copy(), logits.copy()
    outside[0, 0, 5] += 3
    inside[0, 1, 5] += 3
    assert float(masked_loss(jnp.asarray(outside), targets, mask)) == before
    assert float(masked_loss(jnp.asarray(inside), targets, mask)) > before


def test_batches_of_an_epoch_hold_every_row_once_and_fill_with_rows_that_do_not_count(codec: TextCodec) -> None:
    """24 rows in batches of 7: four batches, four spare rows, and another order in another epoch."""
    made = _tokens(codec)
    seen = [batch for batch, _ in batches(made, 7, seed=3, epoch=0)]
    assert [batch.inputs.shape[0] for batch in seen] == [7] * 4
    assert sum(float(batch.mask.sum()) for batch in seen) == made.n_counted
    real = [row.tobytes() for batch in seen for row, mask in zip(batch.inputs, batch.mask, strict=True) if mask.any()]
    assert sorted(real) == sorted(row[:-1].tobytes() for row in made.tokens)
    other = [row.tobytes() for batch, _ in batches(made, 7, seed=3, epoch=1) for row in batch.inputs]
    assert other[:7] != real[:7]


def test_pairs_too_long_are_cut_and_counted(codec: TextCodec) -> None:
    """A response is cut at max_seq_len; nothing is longer."""
    whole = _tokens(codec)
    short = int(whole.mask.argmax(axis=1).max()) + 4
    made = _tokens(codec, short)
    assert made.n_cut > 0
    assert made.tokens.shape[1] == short + 1
