"""An engine that is quick and does what it is told: it implements the seam, so the whole plugin can be tested on it.

Its model is a folder with one file, `skill`: "untrained" answers nothing right, "trained" answers with the reference
solutions. What it should do wrong is read from the file `orders` in the project: `fail finetune`, `die generate 3`,
`losses 2 12.3`, `kill during 2`, ...
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

from apr_leaderboard.engine import Checkpoint, GenerateJob, Job, PerplexityJob, Progress, Sink, Watch
from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.model.generation import Completion, FinishReason
from apr_leaderboard.model.record import CheckpointFormat, EngineIdentity, Finding, StageRecord


class FakeEngine:
    """See the module. Every call is a line in the project's `calls` file."""

    def __init__(self, project: Path, name: str = "fake") -> None:
        self.name = name
        self._project = project
        self._started = 0

    def identity(self) -> EngineIdentity:
        return EngineIdentity(name=self.name, version="1", build="0")

    def capabilities(self) -> frozenset[str]:
        return frozenset({"make-smoke", "import", "finetune", "generate", "perplexity"})

    def produces(self, job: Job) -> tuple[str, CheckpointFormat]:
        return "model", "hf"

    def command(self, job: Job, out: Path) -> tuple[str, ...]:
        return ("fake", job.op, "-o", str(out))

    def run(self, job: Job, out: Path, watch: Watch) -> StageRecord:
        self._note(job.op)
        if ["fail", job.op] in self._orders():
            raise EngineRefusedError(self.name, f"will not {job.op}", command=("fake", job.op), stderr="my own words")
        if isinstance(job, PerplexityJob):
            value = 3.0 if (job.model.path / "skill").read_text() == "trained" else 12.0
            command = self.command(job, out)
            return StageRecord(op=job.op, engine=self.identity(), command=command, figures={"perplexity": value})
        self._started += 1
        self._die_if("before")
        if job.op == "finetune":
            self._train(out, watch)
        (out / "model").mkdir()
        self._die_if("during")
        (out / "model" / "skill").write_text("trained" if job.op == "finetune" else _skill_of(job))
        self._die_if("after")
        undone = ["other", job.op] in self._orders()
        odd = Finding(code="odd", message="did it oddly", command=f"fake {job.op}", undone=undone)
        return StageRecord(
            op=job.op,
            engine=self.identity(),
            command=self.command(job, out),
            checkpoint="model",
            format="hf",
            findings=(odd,) if job.op == "import" or undone else (),
            seconds=os.getpid() % 7,  # varies, and must not show in any digest
        )

    def _die_if(self, moment: str) -> None:
        """`kill during 2`: at that moment of the second job this process starts."""
        for words in self._orders():
            if words == ["kill", moment, str(self._started)]:
                os.kill(os.getpid(), signal.SIGKILL)

    def _train(self, out: Path, watch: Watch) -> None:
        """`losses 2 12.3`: a step for each, told as it is done and recorded."""
        losses = next((words[1:] for words in self._orders() if words[:1] == ["losses"]), [])
        steps = [{"step": number, "loss": float(loss)} for number, loss in enumerate(losses, 1)]
        for step in steps:
            self._note("step")
            watch(Progress("finetune", step["step"], len(steps), "steps", figures=step))
        (out / "losses.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))

    def generate(self, job: GenerateJob, out: Path, sink: Sink, watch: Watch) -> StageRecord:
        self._note(f"generate {len(job.prompts)}")
        orders = self._orders()
        if ["fail", "generate"] in orders:
            raise EngineRefusedError(self.name, "will not generate")
        pause = next((float(words[2]) for words in orders if words[:2] == ["slow", "generate"]), 0.0)
        deadly = next((int(words[2]) for words in orders if words[:2] == ["die", "generate"]), None)
        for number, prompt in enumerate(job.prompts):
            if number == deadly:
                (self._project / "orders").unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(pause)
            watch(Progress("answering", number, len(job.prompts), "prompts", "50.0 tokens/s"))
            text = self._answer(job.model, prompt.task_id)
            sink(Completion(task_id=prompt.task_id, sample=prompt.sample, text=text, finish=FinishReason.STOP))
        return StageRecord(op=job.op, engine=self.identity(), command=self.command(job, out))

    def _answer(self, model: Checkpoint, task: str) -> str:
        if (model.path / "skill").read_text() == "untrained":
            return "I do not know."
        lines = (self._project / "recipes" / "suites" / "smoke.jsonl").read_text().splitlines()
        rows = {row["task_id"]: row for row in map(json.loads, lines)}
        return f"```python\n{rows[task]['prompt']}{rows[task]['canonical_solution']}\n```"

    def _orders(self) -> list[list[str]]:
        file = self._project / "orders"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def _note(self, line: str) -> None:
        with (self._project / "calls").open("a") as out:
            out.write(line + "\n")


def _skill_of(job: Job) -> str:
    """What the model the job works on can do; nothing where there is none."""
    models = getattr(job, "models", None) or [getattr(job, "model", None) or getattr(job, "source", None)]
    return "untrained" if models[0] is None else (models[0].path / "skill").read_text()
