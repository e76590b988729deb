"""results.json: what a run found, in a schema other tools may rely on. Keys are only ever added within a version."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from apr_leaderboard.model.contract import Level
from apr_leaderboard.model.record import EngineIdentity, Figure, Finding

__all__ = [
    "SCHEMA_VERSION",
    "BenchmarkResult",
    "CriterionOutcome",
    "CriterionResult",
    "EvaluationInfo",
    "GivenAnswers",
    "Interval",
    "Machine",
    "Measure",
    "ObligationOutcome",
    "ObligationResult",
    "ProblemResult",
    "Results",
    "RunInfo",
    "StageOutcome",
    "StageResult",
    "Tool",
    "TrackedRun",
]

SCHEMA_VERSION: Final = 1


class StageOutcome(StrEnum):
    """What became of a stage. `failed`: the engine did not do it, or a threshold is missed; `error`: our side broke."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    NOT_REACHED = "not-reached"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tool(_Frozen):
    """This program: its version, and the commit of the checkout it ran in, if any."""

    name: str = "apr-leaderboard"
    version: str
    commit: str | None = None
    dirty: bool | None = None


class Machine(_Frozen):
    """Where the run took place."""

    system: str
    processor: str
    cores: int
    memory_bytes: int | None = None


class RunInfo(_Frozen):
    """Everything a reader needs to repeat the run."""

    tool: Tool
    engines: tuple[EngineIdentity, ...]
    python: str
    machine: Machine
    datasets: dict[str, str] = Field(default_factory=dict, description="name: sha256")
    models: dict[str, str] = Field(default_factory=dict, description="name: digest")
    options: dict[str, str | int | float | bool | list[str] | None] = Field(default_factory=dict)
    sandbox: str | None = Field(default=None, description="the level that programs ran at; null: none ran")
    valid: bool = Field(default=True, description="false: a self-check failed, and no score of this run counts")
    notes: tuple[str, ...] = ()
    started: str
    seconds: float


class StageResult(_Frozen):
    """One stage of one recipe on one engine."""

    recipe: str
    stage: str
    engine: str
    profile: str
    outcome: StageOutcome
    reason: str = ""
    seconds: float
    cached: bool
    command: str
    digest: str | None = None
    figures: dict[str, Figure] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    warnings: tuple[str, ...] = Field(default=(), description="alerts of the recipe that say to warn, and held")


class TrackedRun(_Frozen):
    """The experiment that a recipe's monitoring files its run under."""

    recipe: str
    engine: str
    profile: str
    experiment: str
    tags: dict[str, str] = Field(default_factory=dict)


class ProblemResult(_Frozen):
    """One problem: `n` samples were judged, `c` of them passed; `verdict` is that of the first sample."""

    task_id: str
    n: int
    c: int
    verdict: str
    verdicts: tuple[str, ...] = ()
    distinct: int | None = Field(default=None, description="how many different completions came back")


class Interval(_Frozen):
    """A two-sided interval and how it was made."""

    low: float
    high: float
    level: float
    method: str


class GivenAnswers(_Frozen):
    """A file of completions made elsewhere: its digest is the evidence, the rest is what the user says of it."""

    file: str = Field(description="its name")
    sha256: str
    stated: tuple[str, ...] = Field(
        default=(), description="which of engine, model and decoding are the user's word, checked against nothing"
    )


class EvaluationInfo(_Frozen):
    """One benchmark on one model by one engine: what was asked of whom, and how."""

    name: str
    model: str
    engine: str
    profile: str
    recipe: str | None = None
    after: str | None = Field(default=None, description="the recipe's stage whose checkpoint was evaluated")
    n_problems: int = Field(description="how many problems were to be judged")
    n_samples: int = Field(description="samples asked a problem; of a file, the most that any problem has")
    decoding: dict[str, float | int] = Field(default_factory=dict)
    known_bad: tuple[str, ...] = ()
    partial: bool = Field(default=False, description="only some of the benchmark's problems were asked for")
    completions: GivenAnswers | None = Field(default=None, description="where the answers came in a file")

    @property
    def id(self) -> str:
        """What tells this evaluation from the others of a run."""
        parts = [self.recipe, self.after, self.name, self.model, self.engine, self.profile]
        return "/".join(part for part in parts if part)

    @property
    def stated(self) -> bool:
        """Whether the model and the engine are the user's word."""
        return self.completions is not None and bool(self.completions.stated)


class BenchmarkResult(EvaluationInfo):
    """What an evaluation came to. `pass_at_k` and `interval` hold only the k that every problem's samples allow."""

    n_judged: int = Field(description="problems with a verdict; the denominator of every rate")
    n_infra: int = Field(default=0, description="problems without a verdict because our side broke; in no rate")
    complete: bool = Field(description="every problem of the benchmark was judged")
    pass_at_k: dict[str, float]
    interval: dict[str, Interval]
    problems: tuple[ProblemResult, ...]


class ObligationOutcome(StrEnum):
    """What became of a contract's obligation, from the best to the worst."""

    OPEN = "open"
    HOLDS = "holds"
    VIOLATED = "violated"
    ERROR = "error"


class ObligationResult(_Frozen):
    """One obligation of one contract. It counts as bound where it holds and its saboteur is red."""

    id: str
    contract: str
    level: Level
    outcome: ObligationOutcome
    saboteur: Literal["red", "green", "crashed", "not-run"]
    evidence: str = Field(default="", description="what was covered, the counterexample, or what it needs")
    seconds: float = 0.0


class CriterionOutcome(StrEnum):
    """What became of a criterion's test, from the best to the worst.

    not-run: what it needs is not here, and is named; blocked: the engine refuses, in its own words; error: our side
    broke. Only `pass` counts as one.
    """

    PASS = "pass"
    NOT_RUN = "not-run"
    BLOCKED = "blocked"
    FAIL = "fail"
    ERROR = "error"


class Measure(_Frozen):
    """One figure a criterion was decided by. `bound` is None for what is told without being judged."""

    name: str
    value: Figure
    unit: str = ""
    bound: str | None = None
    holds: bool | None = None
    interval: Interval | None = None


class CriterionResult(_Frozen):
    """One test of one criterion on one model by one engine (`suite` where the suite itself is asked)."""

    criterion: str
    part: str = Field(description="the test's name")
    engine: str
    engine_version: str = ""
    model: str
    profile: str
    outcome: CriterionOutcome
    reason: str = Field(default="", description="why it is no pass")
    words: str = Field(default="", description="the engine's own, where it refused or failed")
    measures: tuple[Measure, ...] = ()
    findings: tuple[Finding, ...] = ()
    commands: tuple[str, ...] = ()
    artefacts: dict[str, str] = Field(default_factory=dict, description="what was looked at: its digest")
    seconds: float = 0.0
    cached: bool = Field(default=False, description="every engine job it asked for was in the store")
    saboteur: str | None = Field(default=None, description="what was broken on purpose, with --apr-falsify")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from the others of a run."""
        return self.criterion, self.part, self.engine, self.model


class Results(_Frozen):
    """The whole file."""

    schema_: Literal[1] = Field(default=SCHEMA_VERSION, alias="schema")
    run: RunInfo
    stages: tuple[StageResult, ...] = ()
    tracking: tuple[TrackedRun, ...] = ()
    benchmarks: tuple[BenchmarkResult, ...] = ()
    obligations: tuple[ObligationResult, ...] = ()
    criteria: tuple[CriterionResult, ...] = ()

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
