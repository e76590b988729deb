"""What a recipe's monitoring does to a stage that trains: shows its figures, warns, and ends it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from apr_leaderboard.engine.protocol import Progress, Watch
from apr_leaderboard.errors import AlertError, HarnessError
from apr_leaderboard.model.monitoring import TRAINING_FIGURES, Alert, Monitoring

__all__ = ["UNGUARDED", "Guard", "judge_alerts"]

_STEPS = "losses.jsonl"
_SPEED = "tokens_per_second"


@dataclass(frozen=True)
class Guard:
    """Alerts and figures of one stage. The same for every engine, live and from the store."""

    alerts: tuple[Alert, ...] = ()
    metrics: tuple[str, ...] = ()

    @classmethod
    def of(cls, monitoring: Monitoring) -> Guard:
        """What of a recipe's monitoring concerns stages that train."""
        metrics = tuple(name for name in monitoring.metrics if name in TRAINING_FIGURES)
        return cls(monitoring.alerts_on(TRAINING_FIGURES), metrics)

    @property
    def digest(self) -> str:
        """Tells apart guards that stop at different things; empty for one that never stops."""
        stops = [alert.condition for alert in self.alerts if alert.action == "stop"]
        return hashlib.sha256("\n".join(stops).encode()).hexdigest()[:12] if stops else ""

    def over(self, watch: Watch, engine: str) -> Watch:
        """`watch`, with the figures asked for as the note, and with `AlertError` raised as soon as one says to stop.

        What a watch raises ends the engine's process at once.
        """

        def look(progress: Progress) -> None:
            judge_alerts([alert for alert in self.alerts if alert.action == "stop"], progress.figures, engine)
            watch(self._shown(progress))

        return look

    def review(self, folder: Path, engine: str) -> tuple[str, ...]:
        """The warnings of a finished training, from its recorded steps; the first step that meets each is told.

        Raises `AlertError` for one that says to stop: the result may come from the store, made for whom it was fine.
        """
        open_alerts = list(self.alerts)
        warnings = []
        for figures in _recorded(folder / _STEPS) if open_alerts else ():
            for alert in [alert for alert in open_alerts if alert.holds(figures)]:
                open_alerts.remove(alert)
                warnings += judge_alerts([alert], figures, engine)
        return tuple(warnings)

    def _shown(self, progress: Progress) -> Progress:
        names = [name for name in (*self.metrics, _SPEED) if name in progress.figures]
        if not self.metrics or not names:
            return progress
        words = {_SPEED: "{:.0f} tokens/s"}
        note = ", ".join(
            words.get(name, name + " {:.4g}").format(progress.figures[name]) for name in dict.fromkeys(names)
        )
        return dataclasses.replace(progress, note=note)


UNGUARDED: Final = Guard()
"""Of a step that nobody watches."""


def judge_alerts(alerts: Iterable[Alert], figures: Mapping[str, float], engine: str) -> list[str]:
    """What the alerts that hold say, as warnings. Raises `AlertError` for the first that says to stop."""
    held = [alert for alert in alerts if alert.holds(figures)]
    for alert in held:
        if alert.action == "stop":
            raise AlertError(engine, alert.told(figures))
    return [alert.told(figures) for alert in held]


def _recorded(file: Path) -> Iterator[Mapping[str, float]]:
    """The steps of a training in order; none where the engine kept none."""
    if not file.is_file():
        return
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            step = json.loads(line)
            yield {name: float(value) for name, value in step.items() if isinstance(value, int | float)}
        except (ValueError, AttributeError) as error:
            raise HarnessError(f"{file}:{number}: no step of a training: {error}") from error
