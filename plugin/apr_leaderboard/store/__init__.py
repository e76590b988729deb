"""Have we computed this already: a content-addressed store of results.

A `Node` says everything its result depends on; its key names the result. `Store.compute` returns the result, made once
however many processes ask, whole or not at all, and checked against its digests when it is read.
"""

from __future__ import annotations

from apr_leaderboard.store.corruption import Corruption
from apr_leaderboard.store.entry import Entry, FileRecord
from apr_leaderboard.store.journal import Journal
from apr_leaderboard.store.layout import is_key
from apr_leaderboard.store.local import Build, Store
from apr_leaderboard.store.node import Json, Node, canonical_json, node_key
from apr_leaderboard.store.remote import Remote, is_url
from apr_leaderboard.store.upkeep import GcReport, Removal, VerifyProgress, VerifyReport

__all__ = [
    "Build",
    "Corruption",
    "Entry",
    "FileRecord",
    "GcReport",
    "Journal",
    "Json",
    "Node",
    "Remote",
    "Removal",
    "Store",
    "VerifyProgress",
    "VerifyReport",
    "canonical_json",
    "is_key",
    "is_url",
    "node_key",
]
