"""Generation as a step: one node a benchmark, model and decoding; inside it, one record a prompt, resumable."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from apr_leaderboard.engine.jobs import Checkpoint, GenerateJob
from apr_leaderboard.engine.protocol import Watch
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.generation import Completion, Prompt
from apr_leaderboard.model.record import StageRecord
from apr_leaderboard.pipeline.lines import write_lines
from apr_leaderboard.pipeline.steps import EngineStep
from apr_leaderboard.store import Journal, Store

__all__ = ["COMPLETIONS", "PROMPTS", "GenerateStep", "prompts_digest", "read_completions"]

COMPLETIONS = "completions.jsonl"
PROMPTS = "prompts.jsonl"


@dataclass(frozen=True)
class GenerateStep(EngineStep):
    """Answers every prompt. A killed run leaves its journal; the next asks the engine only for what is missing."""

    prompts: tuple[Prompt, ...] = ()

    def build(self, models: tuple[Checkpoint, ...], out: Path, store: Store, watch: Watch) -> StageRecord:
        """Fill the journal, then write it out in the prompts' order."""
        job = self.make_job(models)
        assert isinstance(job, GenerateJob)
        scratch = store.workdir(self.node)
        wanted = {prompt.key for prompt in self.prompts}
        with Journal(scratch / "journal.jsonl") as journal:
            # Through JSON: the strict model takes text for an enum only there.
            kept = (Completion.model_validate_json(json.dumps(record)) for record in journal)
            have = {completion.key: completion for completion in kept}
            missing = tuple(prompt for prompt in job.prompts if prompt.key not in have)

            def sink(completion: Completion) -> None:
                if completion.key not in wanted or completion.key in have:
                    name = f"{completion.task_id} sample {completion.sample}"
                    raise EngineOutputError(self.engine.name, f"answered {name}, which it was not asked for now")
                journal.append(completion.model_dump(mode="json"))
                have[completion.key] = completion

            if missing:
                part = GenerateJob(job.model, missing, job.params)
                record = self.engine.generate(part, _emptied(scratch / "engine"), sink, watch)
            else:  # killed between the last answer and the commit
                record = StageRecord(op=job.op, engine=self.engine.identity(), command=())
        left = [prompt for prompt in job.prompts if prompt.key not in have]
        if left:
            raise EngineOutputError(
                self.engine.name, f"{len(left)} of {len(wanted)} prompts have no answer, first {left[0].task_id}"
            )
        write_lines(out / PROMPTS, (prompt.model_dump(mode="json") for prompt in job.prompts))
        write_lines(out / COMPLETIONS, (have[prompt.key].model_dump(mode="json") for prompt in job.prompts))
        # Which prompts this run happened to ask must not show in what is kept: the command names them all.
        return record.model_copy(update={"command": self.engine.command(job, out), "figures": {}})


def prompts_digest(prompts: Iterable[Prompt]) -> str:
    """One digest over all prompts as rendered, seeds included, in order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(prompt.model_dump_json().encode() + b"\n")
    return digest.hexdigest()


def read_completions(file: Path) -> Iterator[Completion]:
    """The completions of a finished generation, in the prompts' order."""
    with file.open(encoding="utf-8") as lines:
        for line in lines:
            yield Completion.model_validate_json(line)


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
