"""Several runs of one benchmark taken together: what any of them solves, what all do, and what none does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apr_leaderboard.errors import RequestError

__all__ = ["Oracle", "oracle_of"]


@dataclass(frozen=True)
class Oracle:
    """Tasks by how many of the runs solve them, in the benchmark's order.

    `best_of` is what a perfect choice among the runs would solve: always and sometimes together. Only tasks that every
    run judged are counted; `left_out` has the others. `only_by` names, for each run, what it alone solves.
    """

    runs: tuple[str, ...]
    solved_by_run: dict[str, int]
    always: tuple[str, ...]
    sometimes: dict[str, int]
    never: tuple[str, ...]
    only_by: dict[str, tuple[str, ...]]
    left_out: tuple[str, ...]

    @property
    def n(self) -> int:
        """Tasks counted."""
        return len(self.always) + len(self.sometimes) + len(self.never)

    @property
    def best_of(self) -> int:
        """Tasks that at least one run solves."""
        return len(self.always) + len(self.sometimes)


def oracle_of(runs: Mapping[str, Mapping[str, bool]]) -> Oracle:
    """Run name to task to solved. Raises `RequestError` unless there are two runs with a task in common."""
    if len(runs) < 2:
        raise RequestError(f"got {len(runs)} run of the benchmark; accepted: at least two")
    tasks = list(dict.fromkeys(task for run in runs.values() for task in run))
    shared = [task for task in tasks if all(task in run for run in runs.values())]
    if not shared:
        raise RequestError("the runs have no task in common; accepted: runs of the same benchmark")
    times = {task: sum(run[task] for run in runs.values()) for task in shared}
    return Oracle(
        runs=tuple(runs),
        solved_by_run={name: sum(run[task] for task in shared) for name, run in runs.items()},
        always=tuple(task for task in shared if times[task] == len(runs)),
        sometimes={task: times[task] for task in shared if 0 < times[task] < len(runs)},
        never=tuple(task for task in shared if not times[task]),
        only_by={name: tuple(task for task in shared if times[task] == 1 and run[task]) for name, run in runs.items()},
        left_out=tuple(task for task in tasks if task not in set(shared)),
    )
