"""Differential testing: the engine under test against the oracle, over generated models, with reproducers.

`look` and `modelfile` use nothing but the standard library, since each reproducer carries a copy of them.
"""

from __future__ import annotations

from apr_leaderboard.proof.differ.campaign import Campaign, Seen, try_case
from apr_leaderboard.proof.differ.operation import Axis, Operation, Picks, Trial, draw_cases
from apr_leaderboard.proof.differ.ops import OPERATIONS, chosen_operations
from apr_leaderboard.proof.differ.reproducer import Reproducer, slug_of, write_reproducer
from apr_leaderboard.proof.differ.shrink import Group, groups_of, shrunk
from apr_leaderboard.proof.differ.summary import summary_rows, summary_text

__all__ = [
    "OPERATIONS",
    "Axis",
    "Campaign",
    "Group",
    "Operation",
    "Picks",
    "Reproducer",
    "Seen",
    "Trial",
    "chosen_operations",
    "draw_cases",
    "groups_of",
    "shrunk",
    "slug_of",
    "summary_rows",
    "summary_text",
    "try_case",
    "write_reproducer",
]
