"""What an engine will not do of a job, known before it is started."""

from __future__ import annotations

from typing import Protocol, cast

from apr_leaderboard.engine.jobs import Job
from apr_leaderboard.engine.protocol import Engine

__all__ = ["refusals_of"]


class _Tells(Protocol):
    def refusals(self, job: Job) -> tuple[str, ...]: ...


def refusals_of(engine: Engine, job: Job) -> tuple[str, ...]:
    """`engine.refusals(job)`, as whole lines: `apr 0.72.3 refuses: prune --calibration: not yet implemented`.

    An engine from elsewhere that has no such method refuses nothing beforehand, but for what it has no operation for.
    """
    identity = engine.identity()
    who = f"{identity.name} {identity.version.partition(' ')[0]}"  # some add a commit in brackets
    if job.op not in engine.capabilities():
        return (f"{who} refuses: {job.op}: it has no such operation",)
    if not hasattr(engine, "refusals"):
        return ()
    return tuple(f"{who} {line}" for line in cast(_Tells, engine).refusals(job))
