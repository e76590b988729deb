"""What is compared: an operation has axes; a place on each of them is a case; a case becomes commands and claims."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Axis", "Claim", "Operation", "Picks", "Trial", "draw_cases", "simpler"]

Claim = dict[str, Any]
Picks = tuple[int, ...]


@dataclass(frozen=True)
class Axis:
    """One thing that varies, with its values from the simplest on, which is the way a difference is shrunk."""

    name: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Trial:
    """What a case comes to. `commands` are the program's arguments, run in one folder in turn; claims are of its files.

    What the commands read has been written into that folder.
    """

    commands: tuple[tuple[str, ...], ...]
    claims: tuple[Claim, ...]

    def all_claims(self) -> list[Claim]:
        """The claims, and that each command ends well unless one of them says how it ends."""
        told = {claim["step"] for claim in self.claims if claim["kind"] == "exit"}
        steps = [step for step in range(1, len(self.commands) + 1) if step not in told]
        return [*({"name": "ends well", "kind": "exit", "step": s, "expect": "done"} for s in steps), *self.claims]


@dataclass(frozen=True)
class Operation:
    """`build` writes a case's inputs into an empty folder and says what to run and what must come of it.

    `states` says in a sentence what the oracle is, and where its formula comes from.
    """

    name: str
    states: str
    axes: tuple[Axis, ...]
    build: Callable[[Mapping[str, Any], Path], Trial] = field(repr=False)

    @property
    def family(self) -> str:
        """The command it is of: the name's first word."""
        return self.name.split("-")[0]

    @property
    def grid(self) -> int:
        """How many cases there are in all."""
        return math.prod(len(axis.values) for axis in self.axes)

    def values(self, picks: Picks) -> dict[str, Any]:
        """Name of each axis: its value in this case."""
        return {axis.name: axis.values[place] for axis, place in zip(self.axes, picks, strict=True)}

    def picks(self, number: int) -> Picks:
        """The case of this number, counted through the grid with the last axis turning fastest."""
        found = []
        for axis in reversed(self.axes):
            number, place = divmod(number, len(axis.values))
            found.append(place)
        return tuple(reversed(found))


def draw_cases(operation: Operation, count: int, seed: int) -> list[Picks]:
    """The whole grid where it is no larger than `count`, else that many different cases, the same for a seed."""
    if operation.grid <= count:
        return [operation.picks(number) for number in range(operation.grid)]
    numbers = random.Random(f"{seed}:{operation.name}").sample(range(operation.grid), count)
    return [operation.picks(number) for number in numbers]


def simpler(picks: Picks) -> Iterator[Picks]:
    """Cases that differ in one axis and are nearer to its beginning there, the simplest first."""
    for axis, place in enumerate(picks):
        for lower in range(place):
            yield (*picks[:axis], lower, *picks[axis + 1 :])
