"""The operations compared, one module for each family of the program's commands, in one table."""

from __future__ import annotations

from typing import Final

from apr_leaderboard.errors import RequestError
from apr_leaderboard.proof.differ.operation import Operation
from apr_leaderboard.proof.differ.ops.datasets import DATASETS
from apr_leaderboard.proof.differ.ops.exporting import EXPORTS
from apr_leaderboard.proof.differ.ops.importing import IMPORTS
from apr_leaderboard.proof.differ.ops.inference import INFERENCES
from apr_leaderboard.proof.differ.ops.merging import MERGES_OF_MODELS
from apr_leaderboard.proof.differ.ops.shrinking import SHRINKINGS
from apr_leaderboard.proof.differ.ops.tokens import TOKENS
from apr_leaderboard.proof.differ.ops.viewing import VIEWS

__all__ = ["OPERATIONS", "chosen_operations"]

_ALL: Final = (*IMPORTS, *EXPORTS, *VIEWS, *INFERENCES, *MERGES_OF_MODELS, *SHRINKINGS, *TOKENS, *DATASETS)

OPERATIONS: Final = {operation.name: operation for operation in _ALL}
"""Every operation by its name, in the order of the summary."""


def chosen_operations(names: str) -> list[Operation]:
    """Those named, with commas; all of them for the empty text. Raises `RequestError` for an unknown name."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in OPERATIONS:
            raise RequestError(f"--ops: got {name!r}; allowed: {', '.join(OPERATIONS)}")
    return [operation for name, operation in OPERATIONS.items() if not wanted or name in wanted]
