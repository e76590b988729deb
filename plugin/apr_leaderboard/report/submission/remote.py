"""What the hub holds of a submission, and giving it the rest. Every call is huggingface_hub's, with the user's token.

The token is found by huggingface_hub where it always is (HF_TOKEN, or the file `hf auth login` writes); nothing here
reads, keeps or prints it.
"""

from __future__ import annotations

import difflib
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from apr_leaderboard.errors import RequestError, SourceUnavailableError
from apr_leaderboard.source import file_sha256
from apr_leaderboard.source.hub import endpoint, unreachable

__all__ = ["Difference", "compare_with_hub", "upload"]

T = TypeVar("T")


@dataclass(frozen=True)
class Difference:
    """One file. `only there` files are left alone by an upload; `lines` is the card's difference, line by line."""

    name: str
    state: Literal["new", "changed", "same", "only there"]
    size: int
    lines: tuple[str, ...] = ()


def compare_with_hub(folder: Path, repo: str) -> tuple[Difference, ...]:
    """Each file here or there. A repository that does not exist holds nothing.

    Raises `SourceUnavailableError` where the hub cannot be asked.
    """
    here = {file.name: file for file in sorted(folder.iterdir())}
    there = _held(repo)
    found = []
    for name in sorted({*here, *there}):
        if name not in here:
            found.append(Difference(name, "only there", there[name].size or 0))
            continue
        size = here[name].stat().st_size
        if name not in there:
            found.append(Difference(name, "new", size))
        elif _same(here[name], there[name]):
            found.append(Difference(name, "same", size))
        else:
            lines = _card_lines(here[name], repo) if name == "README.md" else ()
            found.append(Difference(name, "changed", size, lines))
    return tuple(found)


def upload(folder: Path, repo: str, message: str, *, private: bool) -> str:
    """Make the repository if need be and commit the folder's files to it; returns the commit's address.

    Raises `RequestError` without a token and for what the hub refuses, `SourceUnavailableError` where it is not there.
    """
    from huggingface_hub import CommitOperationAdd, get_token

    if get_token() is None:
        raise RequestError("no token for the hub: looked in HF_TOKEN and where `hf auth login` puts it")

    def send() -> str:
        api = _api()
        api.create_repo(repo, repo_type="model", private=private, exist_ok=True)
        files = [CommitOperationAdd(file.name, file) for file in sorted(folder.iterdir())]
        return str(api.create_commit(repo, files, commit_message=message).commit_url)

    return _asked(repo, send)


def _held(repo: str) -> dict[str, Any]:
    from huggingface_hub.errors import RepositoryNotFoundError

    def ask() -> dict[str, Any]:
        try:
            info = _api().model_info(repo, files_metadata=True)
        except RepositoryNotFoundError:
            return {}
        return {sibling.rfilename: sibling for sibling in info.siblings or []}

    return _asked(repo, ask)


def _same(file: Path, sibling: Any) -> bool:
    """By SHA-256 for files in large-file storage, else by the id git gives a file's content."""
    if sibling.lfs is not None:
        return bool(sibling.lfs.sha256 == file_sha256(file))
    content = file.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return bool(blob == sibling.blob_id)


def _card_lines(card: Path, repo: str) -> tuple[str, ...]:
    def ask() -> str:
        with tempfile.TemporaryDirectory() as scratch:
            return Path(_api().hf_hub_download(repo, card.name, local_dir=scratch)).read_text(encoding="utf-8")

    old = _asked(repo, ask).splitlines()
    new = card.read_text(encoding="utf-8").splitlines()
    return tuple(difflib.unified_diff(old, new, "on the hub", "here", lineterm="", n=1))


def _api() -> Any:
    from huggingface_hub import HfApi

    return HfApi(endpoint=endpoint())


def _asked(repo: str, ask: Callable[[], T]) -> T:
    """The one seam to the hub client's errors."""
    from huggingface_hub import errors

    why = unreachable()
    if why is not None:
        raise SourceUnavailableError(repo, [f"{endpoint()}: {why}"])
    try:
        return ask()
    except errors.HfHubHTTPError as error:
        words = " ".join(str(error).split())
        raise RequestError(f"{repo}: the hub refuses: {words[:300]}") from error
    except (OSError, ValueError, RuntimeError) as error:  # it says RuntimeError of a file it could not send
        raise SourceUnavailableError(repo, [f"{endpoint()}: {type(error).__name__}: {error}"]) from error
