"""Judging answers: each sample once, however many workers share the work and however often they are killed.

Verdicts are appended to a journal of the worker's own as they fall; everybody reads everybody's. When all are in, they
are committed to the store, and from then on read from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from apr_leaderboard.bench import EXTRACTION_VERSION, Problem, program_for, self_check_programs
from apr_leaderboard.errors import SandboxError, StoreError
from apr_leaderboard.model.results import ProblemResult
from apr_leaderboard.pipeline.answers import Answer, Answers
from apr_leaderboard.pipeline.evaluation import Evaluation
from apr_leaderboard.pipeline.lines import write_lines
from apr_leaderboard.pipeline.steps import Runner
from apr_leaderboard.pipeline.tasklock import TaskLocks
from apr_leaderboard.sandbox import Limits, Program, Sandbox, SandboxResult, Verdict, environment
from apr_leaderboard.store import Journal, Node

__all__ = ["EVIDENCE", "OUT_OF_CONTEXT", "VERDICTS", "Judged", "Scorer", "evidence_node"]

VERDICTS = "verdicts.jsonl"
EVIDENCE = "evidence.jsonl"
OUT_OF_CONTEXT = "context"
"""The verdict on a prompt that did not fit the engine's context window: not solved, and not the program's fault."""

_CANONICAL, _PLANTED = -1, -2
_SANDBOX_VERSION = 2
"""Raised whenever the sandbox may come to another verdict than before."""
_ERROR_CHARACTERS = 2000
_DURABLE = frozenset({"index", "sample", "verdict", "how"})


@dataclass(frozen=True)
class Judged:
    """One problem's answers, judged. `invalid` says what the self-check found wrong with the problem itself here."""

    result: ProblemResult
    invalid: str | None
    cached: bool


@dataclass
class Scorer:
    """Judges one evaluation's answers in this process."""

    evaluation: Evaluation
    runner: Runner
    sandbox: Callable[[Limits], Sandbox]
    level: str
    cpu_seconds: float | None = None
    _known: dict[tuple[int, int], dict[str, Any]] = field(default_factory=dict)
    _read: dict[Path, int] = field(default_factory=dict)
    _journal: Journal | None = None
    _locks: TaskLocks | None = None
    _answers: Answers | None = None
    _committed: bool | None = None

    @property
    def limits(self) -> Limits:
        """What a program may use."""
        return Limits(cpu_seconds=self.cpu_seconds or self.evaluation.benchmark.timeout)

    @cached_property
    def node(self) -> Node:
        """All verdicts of the evaluation as one node: answers, tests, extraction, sandbox, Python, packages, limits."""
        params = {
            "benchmark": self.evaluation.benchmark.name,
            "tasks": len(self.evaluation.problems),
            "extraction": EXTRACTION_VERSION,
            "profile": self.evaluation.profile.id,
            "sandbox": _SANDBOX_VERSION,
            "level": self.level,
            "limits": vars(self.limits),
            "environment": environment(),
        }
        return Node(
            "judge", params, {"answers": self.evaluation.answers.key}, {"problems": self.evaluation.problems_digest}
        )

    @property
    def folder(self) -> Path:
        """Where the workers' journals are until all verdicts are in."""
        return self.runner.store.layout.judging / self.node.key

    def judge(self, index: int) -> Judged:
        """Judge every answer to problem `index`, unless that is done.

        Raises what making the answers raises, and `SandboxError` when the sandbox broke.
        """
        answers = self._ensure_answers()
        problem = self.evaluation.problems[index]
        texts = answers.of(problem.task_id)
        wanted = [_CANONICAL, _PLANTED, *(answer.sample for answer in texts)]
        cached = self._has(index, wanted)
        if not cached:
            with self._task_locks().hold(index):
                self._read_journals()
                if self.runner.store.peek(self.node) is not None:
                    self._load_committed()  # by another worker since: its journals are gone
                todo = (one for one in self._programs(problem, texts) if (index, one[0]) not in self._known)
                self._run(index, list(todo))
        return self._judged(index, problem, texts, cached=cached)

    def commit(self) -> None:
        """When every verdict is in, put them into the store and drop the journals. Safe to call from anywhere."""
        if self._load_committed():
            shutil.rmtree(self.folder, ignore_errors=True)  # of a run that was killed between the two
            return
        self._read_journals()
        answers = self._ensure_answers()
        records = []
        for index, problem in enumerate(self.evaluation.problems):
            samples = [_CANONICAL, _PLANTED, *(answer.sample for answer in answers.of(problem.task_id))]
            if not self._has(index, samples):
                return
            records += [self._known[(index, sample)] for sample in sorted(samples)]
        # Times and messages differ from run to run; kept apart, they leave the verdicts' digest alone.
        self.runner.store.compute(evidence_node(self.node), lambda out: _write(out / EVIDENCE, records))
        self.runner.store.compute(self.node, lambda out: _write(out / VERDICTS, map(_durable, records)))
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def samples(self) -> Iterator[tuple[Problem, Answer, dict[str, Any]]]:
        """Every judged sample in order, with what is known of it: verdict, times, sizes, messages."""
        answers = self._ensure_answers()
        self._read_journals()
        self._load_evidence()
        for index, problem in enumerate(self.evaluation.problems):
            for answer in answers.of(problem.task_id):
                record = self._known.get((index, answer.sample))
                if record is not None:
                    yield problem, answer, record

    def samples_of(self, index: int) -> Iterator[tuple[Answer, dict[str, Any]]]:
        """One problem's judged samples in order, as `samples`."""
        answers = self._ensure_answers().of(self.evaluation.problems[index].task_id)
        if any("cpu" not in self._known.get((index, answer.sample), {}) for answer in answers):
            self._load_evidence()
        for answer in answers:
            record = self._known.get((index, answer.sample))
            if record is not None:
                yield answer, record

    def fingerprint(self) -> str | None:
        """One digest over all that `samples` gives; None while a verdict is missing."""
        nodes = (self.node, evidence_node(self.node))
        found = [self.runner.store.peek(node) for node in nodes]
        if None in found:
            self.commit()
            found = [self.runner.store.peek(node) for node in nodes]
        digests = [entry.digest for entry in found if entry is not None]
        if len(digests) < len(nodes):
            return None
        return hashlib.sha256("\n".join([self.evaluation.answers.key, *digests]).encode()).hexdigest()

    def close(self) -> None:
        """Let go of the journal and the locks."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._locks is not None:
            self._locks.close()
            self._locks = None

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ensure_answers(self) -> Answers:
        if self._answers is None:
            self._answers = self.evaluation.answers.ensure(self.runner)
            self._load_committed()
        return self._answers

    def _load_committed(self) -> bool:
        if not self._committed:
            entry = self.runner.store.get(self.node)
            self._committed = entry is not None
            if entry is not None:
                with entry.file(VERDICTS).open("rb") as lines:
                    for line in lines:
                        record = json.loads(line)
                        self._known[(record["index"], record["sample"])] = record
        return self._committed

    def _load_evidence(self) -> None:
        entry = self.runner.store.get(evidence_node(self.node))
        if entry is not None:
            with entry.file(EVIDENCE).open("rb") as lines:
                for one in map(json.loads, lines):
                    known = self._known.setdefault((one["index"], one["sample"]), one)
                    if known["verdict"] == one["verdict"]:  # else it is evidence of a verdict that is no more
                        self._known[(one["index"], one["sample"])] = one

    def _has(self, index: int, samples: list[int]) -> bool:
        return all((index, sample) in self._known for sample in samples)

    def _task_locks(self) -> TaskLocks:
        if self._locks is None:
            self._locks = TaskLocks(self.folder / "tasks.lock")
        return self._locks

    def _read_journals(self) -> None:
        """Take in what other workers, and this run's predecessors, have appended since the last look."""
        for file in sorted(self.folder.glob("*.jsonl")):
            with file.open("rb") as lines:
                lines.seek(self._read.get(file, 0))
                for line in lines:
                    if not line.endswith(b"\n"):
                        break  # still being written, or torn by a kill: its sample is judged again
                    self._read[file] = self._read.get(file, 0) + len(line)
                    record = _whole(line)
                    if record is not None:
                        self._known[(record["index"], record["sample"])] = record

    def _programs(self, problem: Problem, answers: list[Answer]) -> Iterator[tuple[int, Program | None, str]]:
        canonical, planted = self_check_programs(problem)
        yield _CANONICAL, canonical, "canonical"
        yield _PLANTED, planted, "planted"
        for answer in answers:
            if answer.out_of_context:
                yield answer.sample, None, OUT_OF_CONTEXT
                continue
            found = answer.extraction(problem, self.evaluation.profile)
            yield answer.sample, program_for(problem, found), found.how

    def _run(self, index: int, todo: list[tuple[int, Program | None, str]]) -> None:
        """Run one problem's programs and journal each verdict as it falls, while the next program runs already."""
        if not todo:
            return
        programs = [program for _, program, _ in todo if program is not None]
        with contextlib.closing(self.sandbox(self.limits).run_many(programs)) as results:
            for sample, program, how in todo:
                record: dict[str, Any] = {"index": index, "sample": sample, "how": how, "level": self.level}
                if program is None:  # no reference solution to check with, or no answer to run
                    record |= {"verdict": OUT_OF_CONTEXT if how == OUT_OF_CONTEXT else "none"}
                else:
                    record |= _found(program, sample, next(results))
                self._note(record)

    def _note(self, record: dict[str, Any]) -> None:
        if self._journal is None:
            name = f"{os.getpid()}-{time.time_ns()}.jsonl"
            self._journal = Journal(self.folder / name, sync_every=200, sync_seconds=1.0)
        self._journal.append(record)
        self._known[(record["index"], record["sample"])] = record

    def _judged(self, index: int, problem: Problem, answers: list[Answer], *, cached: bool) -> Judged:
        verdicts = tuple(self._known[(index, answer.sample)]["verdict"] for answer in answers)
        result = ProblemResult(
            task_id=problem.task_id,
            n=len(verdicts),
            c=verdicts.count(Verdict.PASSED.value),
            verdict=verdicts[0] if verdicts else "missing",
            verdicts=verdicts if len(verdicts) > 1 else (),
            distinct=len({answer.text for answer in answers}) if len(answers) > 1 else None,
        )
        return Judged(result, self._invalid(index, problem), cached)

    def _invalid(self, index: int, problem: Problem) -> str | None:
        right = self._known[(index, _CANONICAL)]
        if right["verdict"] not in (Verdict.PASSED.value, "none"):
            return f"{problem.task_id}: its reference solution is judged {right['verdict']}: {right.get('error', '')}"
        if self._known[(index, _PLANTED)]["verdict"] == Verdict.PASSED.value:
            return f"{problem.task_id}: a wrong answer planted there passes"
        return None


def evidence_node(verdicts: Node) -> Node:
    """Where the times, sizes and messages behind a node of verdicts are."""
    return Node("evidence", inputs={"verdicts": verdicts.key})


def _found(program: Program, sample: int, result: SandboxResult) -> dict[str, Any]:
    """What a record keeps of a result."""
    if result.verdict is Verdict.INFRA:
        raise SandboxError(f"{program.label} sample {sample}: {result.error}")
    found: dict[str, Any] = {"verdict": result.verdict.value, "cpu": round(result.cpu_seconds, 4)}
    found |= {"wall": round(result.wall_seconds, 4), "rss": result.max_rss_bytes}
    if not result.passed:
        found |= {"error": result.error[:_ERROR_CHARACTERS], "stderr": result.stderr[-_ERROR_CHARACTERS:]}
    if result.retried_alone:
        found |= {"retried": True}
    return found


def _write(file: Path, records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    try:
        write_lines(file, records)
    except OSError as error:
        raise StoreError(f"{file}: cannot be written: {error.strerror}") from error
    return {}


def _whole(line: bytes) -> dict[str, Any] | None:
    """A journal's record; None for one that a power cut spoilt, whose sample is judged again."""
    try:
        record = json.loads(line)
        return record if record.keys() >= _DURABLE else None
    except (ValueError, AttributeError):
        return None


def _durable(record: dict[str, Any]) -> dict[str, Any]:
    """What of a verdict is the same however often it is reached."""
    return {key: record[key] for key in _DURABLE}
