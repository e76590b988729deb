"""What others published for the same model and benchmark, and whether what was measured fits it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from apr_leaderboard.bench import BUILT_IN, Benchmark
from apr_leaderboard.model.catalogue import Catalogue
from apr_leaderboard.model.results import BenchmarkResult

__all__ = ["PublishedFigure", "Standing", "differs_by", "published_for", "standing_of"]

_QUANTIZED = re.compile(r"-(?:i?q\d\w*|[bf]?f?p?(?:16|32)|int[48]|awq|gptq\w*|gguf)", re.IGNORECASE)
_ASIDE = re.compile(r"\s*\((.*)\)$")


class Standing(StrEnum):
    """How a measured rate stands to the published one."""

    CONSISTENT = "consistent"
    """The published rate lies within the measured rate's interval."""
    DIFFERS = "differs"
    OTHER_PROBLEMS = "other problems"
    """What was published is of another set of problems, or of one that is not stated."""
    OTHER_DECODING = "other decoding"
    """What was published is greedy; what was measured is sampled."""
    UNJUDGED = "not judged"
    """The run is incomplete or invalid, so its rate stands for nothing."""
    UNPUBLISHED = "unpublished"


@dataclass(frozen=True)
class PublishedFigure:
    """A published pass@1 in percent, greedy, over `n_problems` (None: not stated, or disputed)."""

    percent: float
    n_problems: int | None
    source: str
    note: str = ""

    @property
    def words(self) -> str:
        """Who says so, and under which conditions."""
        return "; ".join(part for part in (self.source, self.note) if part)


def published_for(
    model: str, benchmark: str, catalogue: Catalogue | None, suites: Iterable[Benchmark] = ()
) -> PublishedFigure | None:
    """The figure to hold a measured one against: first what the benchmark's definition names, then the catalogue.

    A figure for a model stands for its quantized forms as well: that they keep it is what is to be shown.
    """
    return next(_figures(model, benchmark, catalogue, suites), None)


def _figures(
    model: str, benchmark: str, catalogue: Catalogue | None, suites: Iterable[Benchmark]
) -> Iterator[PublishedFigure]:
    known = next((one for one in (*suites, *BUILT_IN) if one.name == benchmark), None)
    for one in known.published if known is not None else ():
        aside = _ASIDE.search(one.model)
        if _same_model(model, _ASIDE.sub("", one.model)):
            note = "; ".join(part for part in (aside[1] if aside else "", one.note) if part)
            yield PublishedFigure(one.pass_at_1, one.n_problems, one.source, note)
    entry = None if catalogue is None else catalogue.models.get(model)
    for scores in entry.published if entry is not None else ():
        percent = scores.of(benchmark.replace("-", "_"))
        if percent is not None:
            n = known.n_problems if known and benchmark.startswith("humaneval") else scores.mbpp_problems
            yield PublishedFigure(percent, n, scores.source, scores.note)


def _same_model(name: str, published: str) -> bool:
    low, base = name.lower(), published.lower()
    return low == base or (low.startswith(base) and _QUANTIZED.match(low, len(base)) is not None)


def standing_of(result: BenchmarkResult, published: PublishedFigure | None, *, valid: bool) -> Standing:
    """Whether the published rate lies within the measured pass@1's interval, where the two can be compared at all."""
    if published is None:
        return Standing.UNPUBLISHED
    interval = result.interval.get("1")
    if interval is None or not result.complete or not valid:
        return Standing.UNJUDGED
    if published.n_problems != result.n_judged:
        return Standing.OTHER_PROBLEMS
    if result.decoding.get("temperature"):
        return Standing.OTHER_DECODING
    # Half of the last digit that was printed, so that rounding decides nothing.
    inside = interval.low - 0.0005 <= published.percent / 100 <= interval.high + 0.0005
    return Standing.CONSISTENT if inside else Standing.DIFFERS


def differs_by(result: BenchmarkResult, published: PublishedFigure) -> int:
    """Problems solved more (or, negative, fewer) than published: both rates as whole problems of the judged ones."""
    return round(result.pass_at_k["1"] * result.n_judged) - round(published.percent / 100 * result.n_judged)
