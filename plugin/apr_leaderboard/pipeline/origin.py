"""Where a pipeline starts: a model or dataset as the catalogue, a path or a URL names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from apr_leaderboard.engine.jobs import MakeSmokeJob
from apr_leaderboard.engine.protocol import Engine, Watch
from apr_leaderboard.engine.reference.sources import smoke_sources
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import Catalogue, ModelEntry
from apr_leaderboard.model.source import LocalSource, MadeSource
from apr_leaderboard.model.stage import ImportParams
from apr_leaderboard.pipeline.binding import Needs, bind_stage
from apr_leaderboard.pipeline.fetched import UNFETCHED, Bytes, Dataset, FetchedModel
from apr_leaderboard.pipeline.steps import EngineStep, Upstream
from apr_leaderboard.source import resolve_dataset, resolve_model
from apr_leaderboard.store import Node

__all__ = ["Dataset", "FetchedModel", "Sources"]


@dataclass
class Sources:
    """Turns names into things to start from."""

    catalogue: Catalogue
    cache: Path
    reference: Callable[[], Engine]
    watch: Watch
    _models: dict[str, Upstream] = field(default_factory=dict)
    _datasets: dict[str, Dataset] = field(default_factory=dict)

    def entry(self, name: str) -> ModelEntry:
        """The model's entry. Raises `RequestError` for a name that is none."""
        return resolve_model(name, self.catalogue)

    def known_as(self, name: str) -> ModelEntry:
        """The catalogue's entry with the very bytes of the model, whatever path or URL it was named by; else its own.

        Raises as `entry`.
        """
        entry = self.entry(name)
        model = self.model(name, fetch_unknown=isinstance(entry.sources[0], LocalSource))
        for known in self.catalogue.models.values():
            if model.key in known.sha256.values():
                return known
        return entry

    def model(self, name: str, *, fetch_unknown: bool) -> Upstream:
        """The model to start from.

        Its key must be known before anything is computed from it: a model without a promised digest is fetched here,
        unless `fetch_unknown` is false (a plan).
        """
        if name not in self._models:
            entry = self.entry(name)
            if isinstance(entry.sources[0], MadeSource):
                self._models[name] = self._made(entry)
            else:
                self._models[name] = FetchedModel(entry, Bytes(entry, self.cache, self.watch))
        model = self._models[name]
        if fetch_unknown and isinstance(model, FetchedModel) and model.key.startswith(UNFETCHED):
            model.bytes.fetch()
        return model

    def dataset(self, name: str, base: Path) -> Dataset:
        """A dataset by catalogue name, or by a path relative to `base`. Raises `RequestError`."""
        if name not in self._datasets:
            beside = base / name
            text = str(beside) if name not in self.catalogue.datasets and beside.is_file() else name
            entry = resolve_dataset(text, self.catalogue)
            self._datasets[name] = Dataset(name, Bytes(entry, self.cache, self.watch))
        return self._datasets[name]

    def _made(self, entry: ModelEntry) -> EngineStep:
        """What the suite makes with the reference engine: the smoke model, and what it makes of that."""
        if entry.made_from is not None:
            return self._trained(entry)
        made = entry.sources[0]
        if not isinstance(made, MadeSource) or made.name != "smoke":
            raise RequestError(
                f"model {entry.name!r}: {made} is nothing the suite makes; allowed: made:smoke, or an entry's made_from"
            )
        job = MakeSmokeJob()
        node = Node(job.op, {"seed": job.seed}, data={"sources": smoke_sources()}, engine=self.reference().identity())
        size = None if entry.n_parameters is None else 4 * entry.n_parameters
        return EngineStep(f"make {entry.name}", self.reference(), node, (), lambda _: job, size)

    def _trained(self, entry: ModelEntry) -> EngineStep:
        """Another model, imported and finetuned: the very steps a recipe has, so that they share their results."""
        assert entry.made_from is not None
        base = self.model(entry.made_from.base, fetch_unknown=False)
        needs = Needs(
            self.reference(),
            base,
            dataset=lambda _, name: self.dataset(name, self.cache),
            model=lambda _, name: self.model(name, fetch_unknown=False),
        )
        imported = bind_stage(f"import {entry.made_from.base}", ImportParams(), base, needs)
        return bind_stage(f"make {entry.name}", entry.made_from.finetune, imported, needs)
