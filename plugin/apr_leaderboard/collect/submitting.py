"""The stage that writes a submission: nothing is uploaded by a test."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from apr_leaderboard.collect.items import Failure, StageItem
from apr_leaderboard.model.results import Results, RunInfo, StageOutcome, StageResult
from apr_leaderboard.model.stage import StageName, SubmitParams
from apr_leaderboard.pipeline import PlannedStage
from apr_leaderboard.report import describe_machine, describe_tool, python_version

if TYPE_CHECKING:
    from apr_leaderboard.report.submission import Written

__all__ = ["SubmitItem"]


class SubmitItem(StageItem):
    """Exports the recipe's model, checks it, and writes the folder that `apr-leaderboard submit` would upload.

    It fails where a check fails; the folder is written all the same, so that one can look.
    """

    def __init__(self, *, stage: PlannedStage, **kwargs: Any) -> None:
        super().__init__(stage=stage, **kwargs)
        assert isinstance(stage.params, SubmitParams)
        self._params = stage.params
        self._written: Written | None = None

    def setup(self) -> None:
        """Write the folder into the store's place for them."""
        started = time.monotonic()
        written = self._written = self._attempt(self._write)
        if written is None:
            return
        words = "; ".join(f"{check.name}: {check.words}" for check in written.failed)
        done = self.workbench.runner.run(self._step)
        self.workbench.notices.append(f"submission to {self._params.repo} written, not uploaded: {written.folder}")
        self._tell(
            StageOutcome.FAILED if written.failed else StageOutcome.PASSED,
            words,
            seconds=time.monotonic() - started,
            cached=done.cached,
            digest=done.entry.digest,
            figures={
                "n_files": len(written.files),
                "n_checks": len(written.checks),
                "n_checks_failed": len(written.failed),
                "n_checks_not_measured": sum(check.holds is None for check in written.checks),
            },
        )

    def runtest(self) -> None:
        """Fail on an export that failed and on checks that do."""
        super().runtest()
        if self._written is not None and self._written.failed:
            raise Failure("\n".join(f"{check.name}: {check.words}" for check in self._written.failed))

    def _write(self) -> Written:
        from apr_leaderboard.report.submission import make_submission  # what no recipe asks for is not imported

        assert self.plan is not None
        place = f"{self.plan.recipe.name}-{self.plan.engine.name}-{self.plan.profile_name}"
        return make_submission(
            self.workbench,
            self.plan,
            self._results(),
            self.workbench.store.root / "submissions" / place,
            repo=self._params.repo,
            licence=self._params.licence,
        )

    def _results(self) -> Results:
        """What the stages before this one came to, as the run's report will tell it."""
        plan, bench = self.plan, self.workbench
        assert plan is not None
        before = plan.stages[: [stage.name for stage in plan.stages].index(StageName.SUBMIT)]
        scores = [bench.score(one) for stage in before for one in stage.evaluations]
        asked = [one.evaluation for one in scores]
        return Results(
            run=RunInfo(
                tool=describe_tool(bench.root),
                engines=bench.identities(),
                python=python_version(),
                machine=describe_machine(),
                datasets={one.benchmark.name: one.data_digest for one in asked},
                models={one.model: one.model_key for one in asked},
                sandbox=bench.level_words if asked else None,
                valid=not any(one.invalid for one in scores),
                started=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=0.0,
            ),
            stages=tuple(self._stage(stage) for stage in before if stage.step is not None),
            benchmarks=tuple(one.result for one in scores),
        )

    def _stage(self, stage: PlannedStage) -> StageResult:
        plan = self.plan
        assert plan is not None
        assert stage.step is not None
        done = self.workbench.runner.run(stage.step)
        return StageResult(
            recipe=plan.recipe.name,
            stage=stage.name.value,
            engine=plan.engine.name,
            profile=plan.profile_name,
            outcome=StageOutcome.PASSED,
            seconds=done.seconds,
            cached=done.cached,
            command=stage.step.command(self.workbench.store),
            digest=done.entry.digest,
            figures=done.record.figures,
        )
