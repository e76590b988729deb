"""Two ways to decode the same prompts, timed in turn: what disturbs the machine disturbs both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from apr_leaderboard.engine.reference.decode import Decoder, DecodeTimes, Request
from apr_leaderboard.engine.reference.loader import LoadedModel
from apr_leaderboard.model.generation import Completion, DecodeParams

__all__ = ["Race", "race"]


@dataclass(frozen=True)
class _Lap:
    """All prompts answered once: tokens a second while decoding, and seconds for everything."""

    rate: float
    seconds: float
    times: DecodeTimes
    answers: tuple[Completion, ...]


@dataclass(frozen=True)
class Race:
    """Laps of the plain way and of the other, as many of each; the i-th of both were run in turn."""

    plain: tuple[_Lap, ...]
    other: tuple[_Lap, ...]

    @property
    def times(self) -> DecodeTimes:
        """Of a lap of the other way; its counts are the same in each."""
        return self.other[0].times

    def figures(self) -> dict[str, float]:
        """Medians over the laps in tokens a second, the median and range of their ratios, and how many answers differ.

        `speedup` is the median of the ratios of each pair of laps; `whole_speedup` that of the time for everything,
        reading of the prompts included.
        """
        ratios = [there.rate / here.rate for here, there in zip(self.plain, self.other, strict=True)]
        whole = [here.seconds / there.seconds for here, there in zip(self.plain, self.other, strict=True)]
        sound = self.plain[0].answers
        laps = (*self.plain, *self.other)
        differing = {one.key for lap in laps for one, same in zip(lap.answers, sound, strict=True) if one != same}
        return {
            "tokens_per_second": round(median(lap.rate for lap in self.other), 2),
            "plain_tokens_per_second": round(median(lap.rate for lap in self.plain), 2),
            "speedup": round(median(ratios), 4),
            "speedup_least": round(min(ratios), 4),
            "speedup_most": round(max(ratios), 4),
            "whole_speedup": round(median(whole), 4),
            "n_rounds": len(ratios),
            "n_answers": len(sound),
            "n_tokens": sum(one.n_tokens or 0 for one in sound),
            "n_differing": len(differing),
        }


def race(
    model: LoadedModel,
    requests: Sequence[Request],
    ways: tuple[DecodeParams, DecodeParams],
    rounds: int,
    tell: Callable[[int], None],
    at_once: int = 1,
) -> Race:
    """Answer all prompts `rounds` times both ways, `at_once` at a time, after a round that compiles and is not counted.

    The ways take turns with every group of prompts, the first one changing: what else the machine does in a round
    falls upon both.
    """
    groups = [requests[start : start + at_once] for start in range(0, len(requests), at_once)]
    _round(model, groups, ways, 0)
    laps: tuple[list[_Lap], list[_Lap]] = ([], [])
    for number in range(rounds):
        for own, lap in zip(laps, _round(model, groups, ways, number), strict=True):
            own.append(lap)
        tell(number + 1)
    return Race(tuple(laps[0]), tuple(laps[1]))


def _round(
    model: LoadedModel, groups: Sequence[Sequence[Request]], ways: tuple[DecodeParams, DecodeParams], number: int
) -> list[_Lap]:
    """A lap of each way."""
    decoders = [Decoder(model, way) for way in ways]
    seconds = [0.0, 0.0]
    answers: tuple[list[Completion], list[Completion]] = ([], [])
    for place, group in enumerate(groups):
        for which in ((0, 1), (1, 0))[(number + place) % 2]:
            started = time.perf_counter()
            answers[which].extend(decoders[which].run(group))
            seconds[which] += time.perf_counter() - started
    return [
        # Answers come in the order in which they end.
        _Lap(one.times.n_decoded / one.times.decode, spent, one.times, tuple(sorted(found, key=lambda it: it.key)))
        for one, spent, found in zip(decoders, seconds, answers, strict=True)
    ]
