"""`--apr-draft-tokens`: what it takes."""

from __future__ import annotations

import pytest

from apr_leaderboard.options import OPTIONS

_OPTION = next(option for option in OPTIONS if option.name == "apr-draft-tokens")


@pytest.mark.parametrize("text", ["0", "16", "31"])
def test_draft_tokens_take_as_many_as_columns_can_be_free(text: str) -> None:
    """One column of 32 is the answer's own."""
    assert _OPTION.parse is not None
    assert _OPTION.parse(text) == int(text)


@pytest.mark.parametrize("text", ["-1", "32", "many", "1.5"])
def test_draft_tokens_of_another_kind_are_refused_with_what_is_accepted(text: str) -> None:
    """One line tells the range."""
    assert _OPTION.parse is not None
    with pytest.raises(ValueError, match=r"^a whole number from 0 to 31$"):
        _OPTION.parse(text)
