"""A check: a property asked of a subject, and the same subject with exactly that property broken.

The subject is handed to the property, so that the saboteur goes the same way as the real thing: a property that
cannot tell the two apart shows nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from apr_leaderboard.errors import EngineError
from apr_leaderboard.model.contract import Level
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.nothere import NotHere

__all__ = ["Check", "NotHere", "Refuted", "Saboteur", "expect", "measured", "proved", "run_saboteur", "tested"]


class Refuted(Exception):  # noqa: N818 - what a check that did its work says, not trouble of its own
    """The property does not hold of the subject; the message is a counterexample."""


class Saboteur(StrEnum):
    """What a check made of the broken subject. Only red shows that the check can fail."""

    RED = "red"
    GREEN = "green"
    CRASHED = "crashed"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Check:
    """`property_(subject, lab)` returns what was covered, in words, or raises `Refuted`."""

    id: str
    level: Level
    property_: Callable[[Any, Lab], str]
    subject: Any
    saboteur: Any

    def run(self, lab: Lab) -> str:
        """Ask the property of the real thing. Raises `Refuted`, and whatever broke on the way.

        An engine that does not do its job refutes what depends on it, in its own words. (With a saboteur in its place
        it proves nothing: there it is a crash.)
        """
        try:
            return self.property_(self.subject, lab)
        except EngineError as error:
            raise Refuted(f"{error}") from None


def run_saboteur(check: Check, lab: Lab) -> tuple[Saboteur, str]:
    """Ask the property of the broken subject: what came of it, and the counterexample or the trouble.

    Raises `NotHere` where the broken subject would have to be made and nobody waits.
    """
    try:
        found = check.property_(check.saboteur, lab)
    except Refuted as error:
        return Saboteur.RED, str(error)
    except NotHere:
        raise
    except Exception as error:  # a crash is told as one: it says nothing about the property
        return Saboteur.CRASHED, f"{type(error).__name__}: {error}"
    return Saboteur.GREEN, found


def expect(condition: object, words: str) -> None:
    """Raise `Refuted` with these words unless the condition holds."""
    if not condition:
        raise Refuted(words)


def proved(id_: str, property_: Callable[[Any], str], subject: Any, saboteur: Any) -> Check:
    """A check over every input of its domain."""
    return Check(id_, Level.PROVED, _without_lab(property_), subject, saboteur)


def tested(id_: str, property_: Callable[[Any], str], subject: Any, saboteur: Any) -> Check:
    """A check on drawn inputs."""
    return Check(id_, Level.TESTED, _without_lab(property_), subject, saboteur)


def measured(id_: str, property_: Callable[[Any, Lab], str], subject: Any, saboteur: Any) -> Check:
    """A check on what an engine really left."""
    return Check(id_, Level.MEASURED, property_, subject, saboteur)


def _without_lab(property_: Callable[[Any], str]) -> Callable[[Any, Lab], str]:
    def asked(subject: Any, lab: Lab) -> str:
        del lab
        return property_(subject)

    return asked
