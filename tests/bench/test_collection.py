"""Collections: several benchmarks asked together."""

from __future__ import annotations

from pathlib import Path

import pytest

from apr_leaderboard.bench import load_collections, load_suites
from apr_leaderboard.bench.collection import load_collection
from apr_leaderboard.errors import FileFormatError

_GOOD = "schema: 1\nname: both\ntitle: Both\nbenchmarks:\n  humaneval: {max_tokens: 64}\n  mbpp: {}\n"


def test_project_s_collection_is_what_the_leaderboards_ask(project_root: Path) -> None:
    """With the field's settings and targets."""
    found = load_collections(project_root / "recipes" / "suites")["leaderboards"]
    assert list(found.benchmarks)[:4] == ["humaneval", "humaneval-plus", "mbpp", "mbpp-plus"]
    assert {entry.max_tokens for name, entry in found.benchmarks.items() if "big" not in name} == {512}
    assert found.targets["base"] == {"humaneval": 0.30, "mbpp": 0.35}
    assert found.targets["optimized"] == {"humaneval": 0.45, "mbpp": 0.50}


def test_collection_is_not_taken_for_a_benchmark(tmp_path: Path) -> None:
    """And a folder may hold both."""
    (tmp_path / "both.yaml").write_text(_GOOD)
    assert load_suites(tmp_path) == ()
    assert list(load_collections(tmp_path)["both"].benchmarks) == ["humaneval", "mbpp"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_GOOD.replace("mbpp", "mbbp"), "benchmarks.mbbp: unknown benchmark 'mbbp'"),
        (_GOOD.replace("max_tokens: 64", "prompt_profile: x"), "unknown prompt profile 'x'"),
        (_GOOD + "targets: {base: {ds-1000: 0.5}}\n", "targets.base.ds-1000: not asked here; allowed: humaneval, mbpp"),
        (_GOOD.replace("name: both", "name: all"), "name: got 'all'; allowed: 'both'"),
    ],
    ids=["benchmark", "profile", "target", "name"],
)
def test_wrong_collection_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    """File, line, what was got, what is allowed."""
    file = tmp_path / "both.yaml"
    file.write_text(text)
    with pytest.raises(FileFormatError) as caught:
        load_collection(file)
    assert told in str(caught.value)
