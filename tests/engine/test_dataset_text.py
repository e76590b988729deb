"""What training data is judged by: shared runs of words, duplicates, quality."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apr_leaderboard.engine.dataset import (
    Row,
    exact_duplicates,
    near_duplicates,
    ngrams,
    overlap,
    quality_of,
    read_rows,
)
from apr_leaderboard.engine.dataset.duplicates import _jaccard, _shingles
from apr_leaderboard.errors import FileFormatError


def _row(question: str, answer: str) -> Row:
    return Row("", {"instruction": question, "response": answer})


def test_overlap_of_a_text_within_another_is_one_and_of_a_short_one_not_measured() -> None:
    """Layout and case hide nothing; fewer than n words have no n-gram."""
    known = set(ngrams("Zero one, two; THREE four five", 3))
    assert overlap("one\n two three  four", known, 3) == 1.0
    assert overlap("one two three six", known, 3) == 0.5
    assert overlap("one two", known, 3) is None


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc+"), max_size=9).map(" ".join), max_size=12), st.floats(0.3, 1.0))
def test_near_duplicates_miss_no_pair_that_comparing_all_finds(texts: list[str], threshold: float) -> None:
    """The look-up by rarest members gives what every pair compared gives."""
    kept: list[int] = []
    expected = {}
    for at, text in enumerate(texts):
        alike = [other for other in kept if _jaccard(_shingles(text), _shingles(texts[other])) >= threshold]
        if alike:
            expected[at] = alike[0]
        else:
            kept.append(at)
    assert near_duplicates(texts, threshold) == expected


def test_near_duplicates_tell_operators_apart() -> None:
    """`a + b` and `a - b` are other programs, though their words are the same."""
    assert near_duplicates(["return a + b", "return a - b"]) == {}
    assert near_duplicates(["return a  +  b", "Return a + b"]) == {1: 0}
    assert exact_duplicates(["a", "b", "a", "a"]) == {2: 0, 3: 0}


@pytest.mark.parametrize(
    ("answer", "parses", "runnable"),
    [
        ("```python\ndef f(a):\n    return a + len('x')\n```", 1.0, 1.0),
        ("```python\ndef f(a):\n    return a + missing\n```", 1.0, 0.0),
        ("def f(:\n    pass", 0.0, 0.0),
        ("from os import *\nprint(getcwd())", 1.0, 1.0),
        ("```python\n'\\d'\n```", 1.0, 1.0),
        ("The capital of France is Paris, for all I know.", None, None),
        ("Here it is:\n```python\ndef f(a):\n    return (a +", 0.0, 0.0),
        ("```python\ndef f(a):\n    return a", 1.0, 1.0),
        ("```bash\nls -l\n```\nThis lists the files there.\n```bash\nrm x\n```", None, None),
        ("```bash\nls -l\n```\nThis lists the files, and here is", None, None),
        ("    return a + 1\n```\nThis adds one to a.", None, None),
        ("```bash\npip install x\n```\nand then\n```py\ndef f(a):\n    return a\n```", 1.0, 1.0),
    ],
    ids=[
        "whole",
        "unbound-name",
        "syntax-error",
        "star-import",
        "odd-escape",
        "prose",
        "cut-off-within",
        "cut-off-after",
        "between-other-blocks",
        "after-another-block",
        "closing-fence-alone",
        "other-block-before",
    ],
)
def test_quality_looks_at_code_where_there_is_code(answer: str, parses: float | None, runnable: float | None) -> None:
    """Parses and runnable apply to code alone."""
    quality = quality_of(_row("Write the function f of a", answer), duplicate=False)
    assert (quality.parses, quality.runnable) == (parses, runnable)


def test_quality_score_is_the_mean_of_the_parts_that_apply() -> None:
    """Four parts of code, two of prose; a duplicate loses one of them."""
    code = _row("Write the function f", "def f(a):\n    return a + 1")
    assert quality_of(code, duplicate=False).score == 100.0
    assert quality_of(code, duplicate=True).score == 75.0
    assert quality_of(_row("What is it then", "no"), duplicate=False).score == pytest.approx(100 * (1 + 0.25) / 2)
    assert quality_of(_row("What is it then", ""), duplicate=False).score == 50.0


def test_rows_are_read_from_plain_and_gzipped_files(tmp_path: Path) -> None:
    """HumanEval's own file is gzipped; the line stays as it was written."""
    line = '{"task_id": "T/0",  "prompt": "def f():", "canonical_solution": "    pass"}'
    (tmp_path / "a.jsonl").write_text(f"\n{line}\n", encoding="utf-8")
    (tmp_path / "b.gz").write_bytes(gzip.compress(f"{line}\r\n".encode()))
    for name in ("a.jsonl", "b.gz"):
        (row,) = read_rows(tmp_path / name)
        assert (row.line, row.text) == (line, "def f():\n    pass")


def test_rows_of_a_damaged_gzip_file_are_told_in_one_line(tmp_path: Path) -> None:
    """Bytes that no longer unpack are the file's fault, said as such."""
    packed = bytearray(gzip.compress(b'{"prompt": "x"}\n' * 1000))
    packed[20:23] = bytes(byte ^ 255 for byte in packed[20:23])
    (tmp_path / "d.gz").write_bytes(packed)
    with pytest.raises(FileFormatError, match="allowed: JSONL in UTF-8, plain or gzipped"):
        read_rows(tmp_path / "d.gz")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "2:1: not JSON"), ("[1]", "2:1: got a list; allowed: an object"),
     ('{"a": 1}', "got the keys a; allowed: text in one of instruction")],
)  # fmt: skip
def test_rows_that_are_none_are_told_by_line(tmp_path: Path, text: str, message: str) -> None:
    """The line, what was got, what is allowed."""
    path = tmp_path / "d.jsonl"
    path.write_text(f'{{"prompt": "x"}}\n{text}\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match=message):
        read_rows(path)
