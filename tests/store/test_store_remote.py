"""A store that shares its results with other machines through a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fsspec
import pytest

from apr_leaderboard.errors import RequestError, StoreError
from apr_leaderboard.store import Corruption, Node, Remote, Store, is_url

NODE = Node("import", {"a": 1})


def _build(out: Path) -> dict[str, Any]:
    (out / "sub").mkdir()
    (out / "sub" / "weights.bin").write_bytes(bytes(range(256)) * 50)
    (out / "empty").touch()
    return {"n": 1}


def _forbidden(out: Path) -> dict[str, Any]:
    raise AssertionError(f"built again in {out}")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A shared place that is not there yet."""
    return f"file://{tmp_path}/shared/place"


def _machine(tmp_path: Path, name: str, url: str, **told: Any) -> Store:
    return Store(tmp_path / name, remote=Remote(url), **told)


@pytest.mark.parametrize("way", ["compute", "get"])
def test_result_made_on_one_machine_is_found_on_another(tmp_path: Path, url: str, way: str) -> None:
    """With the same digest, files and meta, and nothing is built a second time."""
    made = _machine(tmp_path, "one", url).compute(NODE, _build)
    other = _machine(tmp_path, "two", url)
    found = other.get(NODE) if way == "get" else other.compute(NODE, _forbidden)
    assert found is not None
    assert found.cached
    assert (found.digest, found.meta) == (made.digest, made.meta)
    assert found.file("sub/weights.bin").read_bytes() == made.file("sub/weights.bin").read_bytes()
    assert other.verify().ok
    assert found.file("empty").stat().st_mode & 0o222 == 0


def test_result_fetched_once_needs_the_remote_no_more(tmp_path: Path, url: str) -> None:
    """The local copy is a store's entry like any other."""
    _machine(tmp_path, "one", url).compute(NODE, _build)
    _machine(tmp_path, "two", url).get(NODE)
    assert Store(tmp_path / "two").get(NODE) is not None


def test_same_entry_packs_to_the_same_bytes(tmp_path: Path, url: str) -> None:
    """However often it is pushed."""
    store = Store(tmp_path / "one")
    store.compute(NODE, _build)
    packed = []
    for place in (f"{url}/a", f"{url}/b"):
        store.push(Remote(place), NODE.key)
        with fsspec.open(f"{place}/{NODE.key[:2]}/{NODE.key}.tar") as stream:
            packed.append(stream.read())
    assert packed[0] == packed[1]


@pytest.mark.parametrize("damage", ["cut", "changed", "another"])
def test_damaged_object_is_reported_and_made_anew(tmp_path: Path, url: str, damage: str) -> None:
    """Nothing that comes over the wire is believed: cut short, a byte changed, or another entry under this key."""
    _machine(tmp_path, "one", url).compute(NODE, _build)
    file = next(Path(url.removeprefix("file://")).rglob(f"{NODE.key}.tar"))
    content = bytearray(file.read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    elif damage == "changed":
        content[content.index(bytes(range(200)))] ^= 1
    else:
        other = Node("import", {"a": 2})
        _machine(tmp_path, "three", url).compute(other, _build)
        content = bytearray(next(file.parent.parent.rglob(f"{other.key}.tar")).read_bytes())
    file.write_bytes(content)
    told: list[Corruption] = []
    store = _machine(tmp_path, "two", url, on_corruption=told.append)
    entry = store.compute(NODE, _build)
    assert not entry.cached
    assert told
    assert _machine(tmp_path, "four", url).get(NODE) is not None, "the good one takes the damaged one's place"


def test_result_that_cannot_be_shared_stays_here(tmp_path: Path) -> None:
    """A remote that takes nothing loses no work; whoever asked is told."""
    (tmp_path / "file").touch()
    told: list[str] = []
    store = _machine(tmp_path, "one", f"file://{tmp_path}/file/below", on_unshared=told.append)
    entry = store.compute(NODE, _build)
    assert entry.key == NODE.key
    assert "cannot push" in told[0]


def test_remote_that_breaks_while_looking_up_raises(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend's own exception becomes a store error that names the URL."""
    remote = Remote(url)

    def broken(path: str) -> bool:
        raise OSError("connection refused")

    monkeypatch.setattr(remote._fs, "exists", broken)
    with pytest.raises(StoreError, match=r"shared/place: cannot look up .*connection refused"):
        Store(tmp_path / "one", remote=remote).get(NODE)


def test_unknown_scheme_is_a_wrong_request() -> None:
    """The message names what was got and what is accepted."""
    with pytest.raises(RequestError, match="accepted: a folder, or a URL"):
        Remote("nosuch://bucket/path")


@pytest.mark.parametrize(
    ("text", "expected"), [("s3://b/p", True), ("file:///x", True), ("/x/y", False), ("C:\\x", False), ("a://", True)]
)
def test_place_is_told_from_a_url(text: str, expected: bool) -> None:
    """By its scheme alone."""
    assert is_url(text) is expected


def test_push_skips_what_is_there(tmp_path: Path, url: str) -> None:
    """The second push of a key does nothing and says so."""
    store = Store(tmp_path / "one")
    store.compute(NODE, _build)
    assert store.push(Remote(url), NODE.key)
    assert not store.push(Remote(url), NODE.key)
    assert list(Remote(url).keys()) == [NODE.key]
