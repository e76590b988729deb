"""What an item can say of itself beyond its payload, worked out only where a report asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

__all__ = ["Detail", "Exhibit", "detail_of", "leave_detail"]

_KEY = pytest.StashKey[Callable[[], "Detail"]]()


@dataclass(frozen=True)
class Exhibit:
    """A text to attach: `kind` is its file name extension."""

    name: str
    text: str
    kind: str = "txt"


@dataclass(frozen=True)
class Detail:
    """`headline`: the measured figure in a few words; `exhibits`: what shows why, for failures and unsolved alone.

    `subject` says who was measured: benchmark, engine, model, profile.
    """

    headline: str = ""
    exhibits: tuple[Exhibit, ...] = ()
    subject: dict[str, str] = field(default_factory=dict)


def leave_detail(item: pytest.Item, make: Callable[[], Detail]) -> None:
    """Leave word of how to make an item's detail; nothing is made unless it is asked for."""
    item.stash[_KEY] = make


def detail_of(item: pytest.Item) -> Detail:
    """The detail an item left, made now; an empty one where it left none."""
    make = item.stash.get(_KEY, None)
    return Detail() if make is None else make()
