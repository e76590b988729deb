"""From a case that differs to the simplest one that differs in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from apr_leaderboard.proof.differ.campaign import Seen
from apr_leaderboard.proof.differ.look import Difference
from apr_leaderboard.proof.differ.operation import Operation, Picks, simpler

__all__ = ["Group", "groups_of", "shrunk"]


@dataclass(frozen=True)
class Group:
    """Differences of one signature: how many of the operation's cases show it, and one of them to start from."""

    signature: str
    operation: str
    cases: int
    picks: Picks
    difference: Difference


def groups_of(seen: list[Seen]) -> list[Group]:
    """One group for each signature, in their order; each starts from its case nearest to the beginning of all axes."""
    found: dict[str, Group] = {}
    for one in sorted(seen, key=lambda s: (sum(s.picks), s.picks)):
        for signature, difference in one.differences:
            first = found.get(signature)
            if first is None:
                found[signature] = Group(signature, one.operation, 1, one.picks, difference)
            else:
                found[signature] = Group(signature, first.operation, first.cases + 1, first.picks, first.difference)
    return [found[signature] for signature in sorted(found)]


def shrunk(operation: Operation, group: Group, attempt: Callable[[Operation, Picks], Seen]) -> Group:
    """Move one axis at a time towards its beginning, for as long as the same signature is seen.

    The end is a case from which no single axis can be moved back further.
    """
    picks, difference = group.picks, group.difference
    moved = True
    while moved:
        moved = False
        for candidate in simpler(picks):
            found = dict(attempt(operation, candidate).differences).get(group.signature)
            if found is not None:
                picks, difference, moved = candidate, found, True
                break
    return Group(group.signature, group.operation, group.cases, picks, difference)
