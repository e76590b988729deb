"""Models and datasets whose bytes come from a source: known by digest before they are fetched, and fetched once."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from apr_leaderboard.engine.jobs import Checkpoint
from apr_leaderboard.engine.protocol import Progress, Watch
from apr_leaderboard.model.catalogue import DatasetEntry, ModelEntry
from apr_leaderboard.pipeline.steps import Runner
from apr_leaderboard.source import Fetched, fetch, find_cached
from apr_leaderboard.store import Store

__all__ = ["UNFETCHED", "Bytes", "Dataset", "FetchedModel"]

UNFETCHED = "not fetched yet: "
"""How the key of something begins whose digest nobody promised and nobody has fetched."""


@dataclass
class Bytes:
    """Fetched once a process; before that, only what the catalogue promises is known."""

    entry: ModelEntry | DatasetEntry
    cache: Path
    watch: Watch
    _fetched: Fetched | None = field(default=None, repr=False)

    def fetch(self) -> Fetched:
        """The bytes, checked. Raises as `source.fetch`."""
        if self._fetched is None:
            self._fetched = fetch(self.entry, cache=self.cache, watch=self._on_bytes)
        return self._fetched

    def promised(self) -> str:
        """The digest as far as it is known without fetching."""
        digests = list(self.entry.sha256.values())
        if self._fetched is not None:
            return self._fetched.sha256
        return digests[0] if len(digests) == 1 else UNFETCHED + str(self.entry.sources[0])

    def place(self) -> Path:
        """Where the bytes are, or a name for them if they are not here yet."""
        found = find_cached(self.entry, cache=self.cache)
        return found if found is not None else self.cache / self.entry.name

    def _on_bytes(self, what: str, done: int, total: int | None) -> None:
        self.watch(Progress(what, round(done / 1e6), None if total is None else round(total / 1e6), "MB"))


@dataclass(frozen=True)
class FetchedModel:
    """A model whose bytes come from a source."""

    entry: ModelEntry
    bytes: Bytes

    @property
    def label(self) -> str:
        """The model's name."""
        return self.entry.name

    @property
    def key(self) -> str:
        """The digest of its bytes."""
        return self.bytes.promised()

    def planned(self, store: Store) -> Checkpoint:
        """As `Upstream.planned`."""
        del store
        return Checkpoint(self.bytes.place(), self.entry.format)

    def size_hint(self, store: Store) -> int | None:
        """As the catalogue says, else two bytes a parameter."""
        del store
        known = [facts.bytes for facts in self.entry.files.values() if facts.bytes is not None]
        if known:
            return sum(known)
        return None if self.entry.n_parameters is None else 2 * self.entry.n_parameters

    def ensure(self, runner: Runner) -> Checkpoint:
        """As `Upstream.ensure`; fetches."""
        del runner
        return Checkpoint(self.bytes.fetch().path, self.entry.format)


@dataclass(frozen=True)
class Dataset:
    """A dataset's bytes."""

    name: str
    bytes: Bytes

    @property
    def digest(self) -> str:
        """sha256 of the bytes; fetches if the catalogue does not promise it."""
        promised = self.bytes.promised()
        return self.bytes.fetch().sha256 if promised.startswith(UNFETCHED) else promised

    @property
    def path(self) -> Path:
        """Where the bytes are; fetches."""
        return self.bytes.fetch().path

    def place(self) -> Path:
        """Where the bytes are or will be; fetches nothing."""
        return self.bytes.place()
