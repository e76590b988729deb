"""What a recipe watches: figures shown while a stage trains, alerts that warn or stop, the experiment it belongs to."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

__all__ = ["OUTCOME_FIGURES", "TRAINING_FIGURES", "Alert", "Monitoring", "Tracking", "figure_named"]

TRAINING_FIGURES: Final = (
    "loss",
    "kd_loss",
    "ce_loss",
    "learning_rate",
    "gradient_norm",
    "tokens_per_second",
    "chosen_reward",
    "rejected_reward",
    "margin",
)
"""What a training tells of a step; each training tells those that it has."""

OUTCOME_FIGURES: Final = ("pass_at_1", "model_size_mb", "binary_size_mb")
"""What is known at the end: eval tells pass_at_1 (percent, of the first benchmark) and model_size_mb (1e6 bytes, of the
model that was evaluated), compile tells binary_size_mb."""

_TWINS: Final[Mapping[str, str]] = MappingProxyType({"grad_norm": "gradient_norm"})
_CONDITION: Final = re.compile(r"^(\w+) (>=|<=|>|<) (-?\d+(?:\.\d+)?(?:e-?\d+)?)$", re.ASCII)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = MappingProxyType(
    {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
)


def figure_named(name: str) -> str:
    """A figure's own name; `grad_norm` is a twin of `gradient_norm`. Raises `ValueError` for one nobody measures."""
    known = _TWINS.get(name, name)
    if known not in (*TRAINING_FIGURES, *OUTCOME_FIGURES):
        raise ValueError(f"got {name!r}; allowed: {', '.join((*TRAINING_FIGURES, *OUTCOME_FIGURES, *_TWINS))}")
    return known


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Alert(_Frozen):
    """A condition on a figure, such as `loss > 10`, and what to do when it holds: end the stage, or say so."""

    condition: str
    action: Literal["stop", "warn"]
    message: str = ""

    @field_validator("condition")
    @classmethod
    def _on_a_figure(cls, condition: str) -> str:
        parts = _CONDITION.match(condition)
        if parts is None:
            raise ValueError(f"got {condition!r}; allowed: a figure, one of {' '.join(_COMPARE)}, a number: loss > 10")
        figure_named(parts[1])
        return condition

    @property
    def figure(self) -> str:
        """The figure it looks at."""
        return figure_named(self.condition.partition(" ")[0])

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether the condition is met; a figure that is not there meets none."""
        _, sign, bound = self.condition.split(" ")
        value = self._value(figures)
        return value is not None and _COMPARE[sign](value, float(bound))

    def told(self, figures: Mapping[str, float]) -> str:
        """`loss 12.3 > 10: the loss exploded`: the value it was met with, the condition, the message."""
        _, sign, bound = self.condition.split(" ")
        value = self._value(figures)
        assert value is not None, "told of a figure that is not there"
        return f"{self.figure} {value:.6g} {sign} {bound}" + (f": {self.message}" if self.message else "")

    def _value(self, figures: Mapping[str, float]) -> float | None:
        for name in (self.figure, *(twin for twin, own in _TWINS.items() if own == self.figure)):
            if name in figures:
                return float(figures[name])
        return None


class Tracking(_Frozen):
    """Under which experiment, and with which tags, a run's records are kept."""

    experiment: Annotated[str, Field(min_length=1, max_length=200)]
    tags: dict[str, str] = Field(default_factory=dict)


class Monitoring(_Frozen):
    """Which figures are shown while a stage runs, and which of them raise an alert."""

    metrics: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    tracking: Tracking | None = None

    @field_validator("metrics")
    @classmethod
    def _known_figures(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(figure_named(name) for name in metrics))

    def alerts_on(self, figures: tuple[str, ...]) -> tuple[Alert, ...]:
        """The alerts that look at one of `figures`."""
        return tuple(alert for alert in self.alerts if alert.figure in figures)
