"""A plugin that adds an engine and a benchmark to apr-leaderboard: a parrot, and whether it greets."""

from __future__ import annotations

import json
from pathlib import Path

from apr_leaderboard.engine import Engine, GenerateJob, Job, Sink, Watch
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.model.generation import Completion, FinishReason
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, StageRecord


class Parrot:
    """An engine whose models are folders with words.json: a text for each word that may stand in a question."""

    name = "parrot"

    def identity(self) -> EngineIdentity:
        return EngineIdentity(name=self.name, version="1", build="feathers")

    def capabilities(self) -> frozenset[str]:
        return frozenset({GenerateJob.op})

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        return ("parrot", job.op, "-o", str(out))

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        raise EngineRefusedError(self.name, f"{job.op}: a parrot makes no models")

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        raise EngineRefusedError(self.name, f"{job.op}: a parrot only answers")

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        words: dict[str, str] = json.loads((job.model.path / "words.json").read_text())
        for prompt in job.prompts:
            asked = prompt.raw or prompt.messages[-1].content
            text = next((said for word, said in words.items() if word in asked), "Squawk!")
            sink(Completion(task_id=prompt.task_id, sample=prompt.sample, text=text, finish=FinishReason.STOP))
        return StageRecord(op=job.op, engine=self.identity(), command=self.command(job, out))


def pytest_apr_engine_names() -> list[str]:
    return [Parrot.name]


def pytest_apr_make_engine(name: str) -> Engine | None:
    return Parrot() if name == Parrot.name else None


def pytest_apr_suite_folders() -> list[Path]:
    return [Path(__file__).parent / "suites"]
