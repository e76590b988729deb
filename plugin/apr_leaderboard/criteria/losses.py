"""What a training tells of itself, step by step, and what it holds in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass

from apr_leaderboard.proof import Refuted
from apr_leaderboard.proof.lab import Made

__all__ = ["Course", "course_of", "held_bytes", "peak_bytes"]


@dataclass(frozen=True)
class Course:
    """A figure over the steps of a training, with each step's epoch."""

    values: tuple[float, ...]
    epochs: tuple[int, ...]

    def ends(self) -> tuple[float, float]:
        """The mean over the first tenth of the steps, and over the last; at least one step each."""
        count = max(1, len(self.values) // 10)
        return _mean(self.values[:count]), _mean(self.values[-count:])

    def by_epoch(self) -> list[float]:
        """The mean of each epoch, in order."""
        return [
            _mean([value for value, own in zip(self.values, self.epochs, strict=True) if own == epoch])
            for epoch in sorted(set(self.epochs))
        ]


def course_of(made: Made, figure: str) -> Course:
    """A figure from losses.jsonl. Raises `Refuted` where the engine left none, or not this figure."""
    file = made.folder / "losses.jsonl"
    if not file.is_file():
        raise Refuted("the engine left no losses.jsonl: nothing shows what training did")
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    known = [row for row in rows if row.get(figure) is not None]
    if not known:
        raise Refuted(f"losses.jsonl has no {figure}; it has {', '.join(sorted(rows[0])) if rows else 'no step'}")
    return Course(tuple(float(row[figure]) for row in known), tuple(int(row.get("epoch", 1)) for row in known))


def held_bytes(made: Made) -> tuple[int, int, int]:
    """Bytes of frozen weights, of trained weights, and of the optimizer. Raises `Refuted` where nothing tells them."""
    figures = {} if made.record is None else made.record.figures
    try:
        weights, trained = int(figures["weights_bytes"]), int(figures["trainable_bytes"])
        return weights - trained, trained, int(figures["optimizer_bytes"])
    except KeyError as error:
        raise Refuted(f"the engine does not tell what its training holds: no {error}") from None


def peak_bytes(made: Made) -> int | None:
    """Peak resident memory as the engine's record tells it; None where nothing does."""
    value = None if made.record is None else made.record.figures.get("peak_rss_bytes")
    return None if value is None else int(value)


def _mean(values: tuple[float, ...] | list[float]) -> float:
    return sum(values) / len(values)
