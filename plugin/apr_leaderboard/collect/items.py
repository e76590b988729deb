"""The items themselves: a stage of a recipe, a problem of a benchmark, the verdict on a whole evaluation.

All work is done in set-up, where pytest books an exception as an error: an error is our trouble. What the candidate did
is looked at in the call, where a failure is a failure.
"""

from __future__ import annotations

import shlex
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from _pytest.outcomes import Skipped  # pytest.skip.Exception, under a name that types know

from apr_leaderboard.collect.exhibits import problem_detail, scores_detail
from apr_leaderboard.errors import AlertError, AprLeaderboardError, EngineError, StageFailedError
from apr_leaderboard.model.results import StageOutcome, StageResult
from apr_leaderboard.pipeline import (
    Done,
    Evaluation,
    EvaluationScore,
    Plan,
    PlannedStage,
    Workbench,
    evaluation_outcomes,
    judge_alerts,
    scores_digest,
    stage_outcomes,
)
from apr_leaderboard.report import leave_detail, leave_payload

__all__ = ["EvaluationItem", "NotReached", "ProblemItem", "StageItem", "Thresholds"]


T = TypeVar("T")


class NotReached(Skipped):
    """An item whose turn never came, because an earlier stage failed."""


class Failure(Exception):  # noqa: N818 - what pytest shows as the reason of a failed item
    """The candidate or the engine under test fell short; the message is all there is to show."""


class AprItem(pytest.Item):
    """What all items share: the workbench, marks, and errors told in one line."""

    def __init__(self, *, workbench: Workbench, marks: Iterable[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.workbench = workbench
        for mark in marks:
            self.add_marker(mark)

    def say(self, **payload: Any) -> None:
        """Leave something for the report."""
        notices, self.workbench.notices = self.workbench.notices, []
        leave_payload(self, {**payload, "notices": notices})

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the item stands, for headings."""
        return self.path, None, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Our own errors speak for themselves; a traceback is shown only for what nobody foresaw."""
        error = excinfo.value
        if isinstance(error, EngineError):
            words = error.stderr.strip()
            command = f"\ncommand: {shlex.join(error.command)}" if error.command else ""
            return f"{error}{command}" + (f"\nits own words:\n{words[-4000:]}" if words else "")
        if isinstance(error, AprLeaderboardError | Failure):
            return str(error)
        return super().repr_failure(excinfo, style)


class _OutcomeItem(AprItem):
    """What has a stage's outcome: its set-up attempts the work, its call fails if the engine did not do it."""

    def __init__(self, *, plan: Plan | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan = plan
        self._failed: EngineError | None = None

    def _attempt(self, work: Callable[[], T]) -> T | None:
        """`work()`, or None where the engine did not do it; each other outcome is told and raised."""
        try:
            return work()
        except StageFailedError as error:
            self._tell(StageOutcome.NOT_REACHED, f"{error.failed} failed")
            raise NotReached(f"{error.failed} failed: {error.reason}") from None
        except EngineError as error:
            self._tell(StageOutcome.FAILED, str(error))
            self._failed = error
            return None
        except Exception as error:
            self._tell(StageOutcome.ERROR, str(error))
            raise

    def runtest(self) -> None:
        """Fail if the engine did not do it."""
        if self._failed is not None:
            raise self._failed

    @abstractmethod
    def _stage_and_command(self) -> tuple[str, str]:
        """The stage's name, and the command line that does it."""

    def _tell(self, outcome: StageOutcome, reason: str = "", **more: Any) -> None:
        if self.plan is None:  # a benchmark outside of a recipe has no stages
            return
        stage, command = self._stage_and_command()
        result = StageResult(
            recipe=self.plan.recipe.name,
            stage=stage,
            engine=self.plan.engine.name,
            profile=self.plan.profile_name,
            outcome=outcome,
            reason=reason,
            seconds=round(more.pop("seconds", 0.0), 3),
            cached=more.pop("cached", False),
            command=command,
            **more,
        )
        self.say(
            stage=result.model_dump(mode="json"), tracking=self._tracking(), lost=outcome is StageOutcome.NOT_REACHED
        )

    def _tracking(self) -> dict[str, Any] | None:
        plan = self.plan
        if plan is None or plan.monitoring.tracking is None:
            return None
        who = {"recipe": plan.recipe.name, "engine": plan.engine.name, "profile": plan.profile_name}
        return {**who, **plan.monitoring.tracking.model_dump(mode="json")}


class StageItem(_OutcomeItem):
    """One stage of a recipe, other than eval."""

    def __init__(self, *, stage: PlannedStage, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        assert stage.step is not None
        self._name, self._step, self._measure = stage.name.value, stage.step, stage.perplexity
        self._undone: list[str] = []

    def setup(self) -> None:
        """Ask for the stage's result, and see what the recipe's alerts say of it."""
        found = self._attempt(self._look)
        if found is not None:
            done, outcomes, warnings = found
            self._undone = [f"{one.code}: {one.message}" for one in done.record.findings if one.undone]
            self._tell(
                StageOutcome.FAILED if self._undone else StageOutcome.PASSED,
                "; ".join(self._undone),
                seconds=done.seconds,
                cached=done.cached,
                digest=done.entry.digest,
                figures={**done.record.figures, **outcomes},
                findings=done.record.findings,
                warnings=(*done.warnings, *warnings),
            )

    def runtest(self) -> None:
        """Fail also if the engine did something, but not what was asked. Later stages get what it wrote."""
        super().runtest()
        if self._undone:
            raise Failure("\n".join(["not what was asked for:", *self._undone]))

    def _look(self) -> tuple[Done, dict[str, float], list[str]]:
        assert self.plan is not None
        done = self.workbench.runner.run(self._step)
        measured, troubles = self._perplexity()
        outcomes = {**stage_outcomes(done), **measured}
        return done, outcomes, [*troubles, *judge_alerts(self.plan.monitoring.alerts, outcomes, self.plan.engine.name)]

    def _perplexity(self) -> tuple[dict[str, float], list[str]]:
        """The model's, if the recipe asks for it. An engine that fails at it leaves a warning."""
        if self._measure is None:
            return {}, []
        try:
            figures = self.workbench.runner.run(self._measure).record.figures
        except EngineError as error:
            return {}, [f"perplexity not measured: {error}"]
        return {"perplexity": float(figures["perplexity"])}, []

    def _stage_and_command(self) -> tuple[str, str]:
        return self._name, self._step.command(self.workbench.store)


class ProblemItem(AprItem):
    """One problem of a benchmark. Not solving it is an outcome, not a failure."""

    def __init__(self, *, evaluation: Evaluation, index: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluation = evaluation
        self.index = index

    def setup(self) -> None:
        """Have the answers judged."""
        try:
            judged = self.workbench.judge(self.evaluation, self.index)
        except (StageFailedError, EngineError) as error:
            failed = error.failed if isinstance(error, StageFailedError) else "generate"
            self._tell(lost=f"{failed} failed")
            raise NotReached(f"{failed} failed: {error}") from None
        except Exception as error:
            self._tell(lost=f"infra: {error}")
            raise
        self._tell(result=judged.result.model_dump(mode="json"), invalid=judged.invalid)
        leave_detail(self, lambda: problem_detail(self.workbench, self.evaluation, self.index))

    def runtest(self) -> None:
        """Nothing is left to do: what was found is on the report."""

    def _tell(self, **found: Any) -> None:
        evaluation = self.evaluation
        body = {
            "evaluation": evaluation.id,
            "info": evaluation.info.model_dump(mode="json"),
            "index": self.index,
            "task_id": evaluation.problems[self.index].task_id,
            "dataset": {evaluation.benchmark.name: evaluation.data_digest},
            "model": evaluation.digests,
            "sandbox": self.workbench.level_words,
        }
        self.say(problem={**body, **found}, lost="lost" in found)


class EvaluationItem(_OutcomeItem):
    """The verdict on whole evaluations: were the answers made, and are the thresholds met?"""

    def __init__(self, *, evaluations: tuple[Evaluation, ...], thresholds: Thresholds, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.evaluations = evaluations
        self.thresholds = thresholds
        self._scores: list[EvaluationScore] = []
        self._started = 0.0

    def setup(self) -> None:
        """Judge whatever no other item has judged yet."""
        self._started = time.monotonic()
        scores = self._attempt(lambda: [self.workbench.score(evaluation) for evaluation in self.evaluations])
        self._scores = scores or []
        leave_detail(self, lambda: scores_detail(self.evaluations, self._scores))

    def runtest(self) -> None:
        """Fail on a generation that failed, on missed thresholds, and where an alert of the recipe says to stop."""
        super().runtest()
        missed = [line for score in self._scores for line in self.thresholds.missed(score)]
        outcomes: dict[str, float] = {}
        warnings: list[str] = []
        if self.plan is not None:
            outcomes = evaluation_outcomes(self._scores, self.workbench.store)
            try:
                warnings = judge_alerts(self.plan.monitoring.alerts, outcomes, self.plan.engine.name)
            except AlertError as alert:
                missed.append(str(alert))
        self._tell(
            StageOutcome.FAILED if missed else StageOutcome.PASSED,
            "; ".join(missed),
            seconds=time.monotonic() - self._started,
            cached=all(score.cached for score in self._scores),
            digest=scores_digest(self._scores),
            figures=outcomes,
            warnings=tuple(warnings),
        )
        if missed:
            raise Failure("\n".join(missed))

    def _stage_and_command(self) -> tuple[str, str]:
        return "eval", " && ".join(one.answers.command(self.workbench.store) for one in self.evaluations)


class Thresholds:
    """What an evaluation must reach."""

    def __init__(
        self,
        min_solved: dict[str, int] | None = None,
        max_baseline_solved: dict[str, int] | None = None,
        min_pass: float | None = None,
    ) -> None:
        self._min_solved = min_solved or {}
        self._max_baseline = max_baseline_solved or {}
        self._min_pass = min_pass

    def missed(self, score: EvaluationScore) -> list[str]:
        """One line for each threshold this score misses."""
        evaluation, solved, n = score.evaluation, score.n_solved, score.result.n_judged
        name = evaluation.benchmark.name
        lines = []
        if evaluation.is_baseline:
            most = self._max_baseline.get(name)
            if most is not None and solved > most:
                lines.append(f"{evaluation.title}: solved {solved} of {n} before training, at most {most} expected")
            return lines
        fewest = self._min_solved.get(name)
        if fewest is not None and solved < fewest:
            lines.append(f"{evaluation.title}: solved {solved} of {n}, at least {fewest} expected")
        rate, asked = score.pass_at_1, len(evaluation.problems)
        if self._min_pass is not None and (rate is None or rate < self._min_pass):
            shown = "not measured" if rate is None else f"{rate:.3f}"
            lines.append(f"{evaluation.title}: pass@1 {shown}, at least {self._min_pass:g} expected")
        elif self._min_pass is not None and n < asked:
            # The rate of the tasks that somebody chose to answer is not the benchmark's.
            lines.append(
                f"{evaluation.title}: pass@1 {rate:.3f} of {n} problems alone, at least {self._min_pass:g} of "
                f"{asked} expected"
            )
        return lines
