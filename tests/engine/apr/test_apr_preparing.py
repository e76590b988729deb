"""What `apr data` leaves is held against what it was given: each way to do nothing, or too much, is seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from apr_leaderboard.engine.apr.preparing import verify_prepared
from apr_leaderboard.engine.apr.preparing_argv import prep_data_argv
from apr_leaderboard.engine.jobs import PrepDataJob
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.stage import PrepDataParams

_A, _B, _C, _NEAR_B = (
    {"instruction": f"Write a function that adds {word} to what it is given", "response": code, "category": kind}
    for word, code, kind in (
        ("one", "def one(a):\n    return a + 1", "x"),
        ("two and then two again", "def two(a):\n    return a + 2", "y"),
        ("three", "def three(a:\n", "x"),
        ("two and then two again", "def two(a):\n    return  a + 2", "y"),
    )
)
_Rows = Sequence[dict[str, str]]


def _write(path: Path, rows: _Rows) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _verify(  # type: ignore[no-untyped-def]
    tmp_path: Path, step: str, before: _Rows, after: _Rows, told: object = None, lost: int = 0, **params: object
):
    """What verifying says of a chain of one step that left `after` and printed `told`; split loses the last `lost`."""
    against = _write(tmp_path / "bench" / "bench.jsonl", [{"prompt": _A["instruction"]}])
    settings = PrepDataParams.model_validate({"dataset": "x", "steps": [step], "ngram": 3, **params})
    job = PrepDataJob(_write(tmp_path / "in" / "data.jsonl", before), (against,), settings)
    out = tmp_path / "out"
    left = _write(out / f"{step}.jsonl", after)
    if step == "split":
        _write(out / "split" / "test.jsonl", [row for row in before[: len(before) - lost] if row not in after])
        left = _write(out / "split" / "train.jsonl", after)
    (out / f"{step}.json").write_text(json.dumps(told), encoding="utf-8")
    shutil.copy(left, out / "data.jsonl")
    argv = prep_data_argv(Path("/bin/apr"), job, out)
    return verify_prepared(job, out, argv)


def test_prep_data_argv_is_a_chain_of_steps(tmp_path: Path) -> None:
    """Each step reads what the one before it left; steps that only look leave it alone."""
    params = PrepDataParams(dataset="x", steps=("audit", "dedup", "decontaminate", "quality"), min_quality=60)
    job = PrepDataJob(Path("/d/in put.jsonl"), (Path("/d/bench.jsonl"),), params)
    (_, _, line) = prep_data_argv(Path("/bin/apr"), job, Path("/o"))
    assert line.split(" && ") == [
        "/bin/apr data audit '/d/in put.jsonl' --input-column instruction --label-column response --json"
        " > /o/audit.json",
        "/bin/apr data dedup '/d/in put.jsonl' -o /o/dedup.jsonl --json > /o/dedup.json",
        "/bin/apr data decontaminate /o/dedup.jsonl --reference /d/bench.jsonl --ngram 10 --threshold 0.5 --json"
        " > /o/decontaminate.json",
        "/bin/apr data x filter-text /o/dedup.jsonl -o /o/quality.jsonl --column response --min-score 0.6"
        " --min-length 1 > /o/quality.json",
        "cp /o/quality.jsonl /o/data.jsonl",
    ]


@pytest.mark.parametrize(
    ("step", "before", "after", "message"),
    [
        ("dedup", [_A, _A, _B], [_A, _A, _B], "rows are left that are equal"),
        ("dedup", [_A, _B], [_A], "1 rows are gone that no other equals"),
        ("dedup", [_A, _B], [_A, {**_B, "response": "x"}], "1 rows are not among those it was given"),
        ("decontaminate", [_A, _B], [_A, _B], "1 of 2 samples .* are there still; it counts 0"),
        ("balance", [_A, _B, _C], [_A, _B, _C], "'category' are not equally frequent afterwards: x 2, y 1"),
        ("split", [_A, _B, _C], [_A, _B, _C], "nothing was put aside of 3 rows"),
        ("quality", [_A], [_A, _A], "1 rows are not among those"),
    ],
    ids=["dedup-nothing", "dedup-too-much", "dedup-rewrites", "contaminated", "unbalanced", "no-split", "row-twice"],
)
def test_prep_data_that_did_not_do_it_is_an_output_error(
    tmp_path: Path, step: str, before: _Rows, after: _Rows, message: str
) -> None:
    """Exit code 0 and a line of success change nothing."""
    with pytest.raises(EngineOutputError, match=message):
        _verify(tmp_path, step, before, after, {"contaminated_count": 0}, held_out=0.4)


@pytest.mark.parametrize(
    ("step", "before", "after", "codes"),
    [
        ("dedup", [_A, _A, _B], [_A, _B], []),
        ("dedup", [_B, _B, _NEAR_B], [_B, _NEAR_B], ["near-duplicates-kept"]),
        ("quality", [_A, _C], [_A, _C], ["quality-not-of-code"]),
        ("quality", [_A, _C], [_A], []),
        ("decontaminate", [_B], [_B], []),
        ("balance", [_A, _B, _C], [_B, _C], []),
        ("split", [_A, _B, _C], [_A, _C], []),
    ],
    ids=["deduped", "near-kept", "poor-kept", "filtered", "clean", "balanced", "split"],
)
def test_prep_data_that_did_it_passes_with_what_it_missed(
    tmp_path: Path, step: str, before: _Rows, after: _Rows, codes: list[str]
) -> None:
    """What is done less well than asked is a finding; only the dataset is left in the folder."""
    figures, findings = _verify(tmp_path, step, before, after, {}, held_out=0.3, ngram=8)
    assert [finding.code for finding in findings] == codes
    assert figures["n_after"] == len(after)
    left = {"data.jsonl", "held-out.jsonl"} if step == "split" else {"data.jsonl"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == left


def test_prep_data_split_that_loses_a_row_is_an_output_error(tmp_path: Path) -> None:
    """Every row is in one part or the other."""
    with pytest.raises(EngineOutputError, match="split: 1 of 3 rows are in neither part"):
        _verify(tmp_path, "split", [_A, _B, _C], [_A], {}, lost=1, held_out=0.3)


@pytest.mark.parametrize(
    ("told", "right"), [({"total_samples": 2, "duplicates": 0}, True), ({"total_samples": 9}, False)]
)
def test_prep_data_audit_is_counted_after(tmp_path: Path, told: object, right: bool) -> None:
    """Its figures are its own only where they are true."""
    if right:
        figures, findings = _verify(tmp_path, "audit", [_A, _B], [_A, _B], told)
        assert (figures["audit_samples"], figures["audit_exact_duplicates"], findings) == (2, 0, [])
        return
    with pytest.raises(EngineOutputError, match="audit: tells of 9 samples where there are 2"):
        _verify(tmp_path, "audit", [_A, _B], [_A, _B], told)
