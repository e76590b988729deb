"""JSON Lines: one form for all that is kept."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from apr_leaderboard.pipeline.lines import json_line, write_lines

_ANY = st.text(st.characters(exclude_categories=()), max_size=40)  # half surrogate pairs included


@given(st.dictionaries(_ANY, st.one_of(_ANY, st.integers(), st.none()), max_size=5))
def test_line_of_any_record_is_one_line_and_reads_back(record: dict[str, object]) -> None:
    """Line ends within a text do not end the line, and half a surrogate pair comes back as it was."""
    line = json_line(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert json.loads(line) == record


def test_lines_written_keep_letters_and_sort_keys(tmp_path: Path) -> None:
    """What a person may look at is not escaped, and equal records give equal bytes."""
    file = tmp_path / "x.jsonl"
    write_lines(file, [{"b": "größer ≤", "a": 1}, {"a": 2}])
    assert file.read_text(encoding="utf-8") == '{"a": 1, "b": "größer ≤"}\n{"a": 2}\n'
