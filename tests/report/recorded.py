"""Report folders as --apr-report writes them, with verdicts of one's choice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.model.results import (
    EvaluationInfo,
    Machine,
    ProblemResult,
    Results,
    RunInfo,
    StageOutcome,
    StageResult,
    Tool,
)
from apr_leaderboard.pipeline import summarize
from apr_leaderboard.report import evaluation_slug, write_results

__all__ = ["Recorder", "verdicts_of"]

MODEL = "qwen2.5-coder-0.5b-instruct-q4_k_m"


def verdicts_of(solved: int, total: int, samples: int = 1) -> list[list[str]]:
    """`solved` problems passed by every sample, the rest wrong."""
    return [["passed" if i < solved else "wrong"] * samples for i in range(total)]


class Recorder:
    """Writes runs into folders of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, name: str, *evaluations: Mapping[str, Any], day: int = 1, **more: Any) -> Path:
        """One run of some evaluations (see `evaluation`), begun on that day of November 2026."""
        folder = self.root / name
        ks = more.pop("ks", (1,))
        stages = more.pop("stages", ())
        run = RunInfo(
            tool=Tool(version="0.1.0"),
            engines=(EngineIdentity(name="reference", version="1", build="0" * 64),),
            python="CPython 3.11.7",
            machine=Machine(system="Linux", processor="x", cores=2),
            options={"apr_model": MODEL, "markexpr": "humaneval"},
            started=f"2026-11-{day:02d}T10:00:00+00:00",
            **{"seconds": 60.0, **more},
        )
        results = []
        for one in evaluations:
            info, verdicts, answers = one["info"], one["verdicts"], one["answers"]
            results.append(summarize(info, _problems(info, verdicts), ks))
            self._evidence(folder, info, verdicts, answers)
        write_results(folder, Results(run=run, stages=stages, benchmarks=tuple(results)))
        return folder

    @staticmethod
    def evaluation(
        verdicts: Sequence[Sequence[str]],
        *,
        benchmark: str = "humaneval",
        answers: Sequence[Sequence[str]] | None = None,
        temperature: float = 0.0,
        **more: Any,
    ) -> dict[str, Any]:
        """An evaluation by its verdicts, a list of samples a problem."""
        body = {"model": MODEL, "engine": "reference", "profile": "qwen-official@1", **more}
        n_samples = max(map(len, verdicts))
        decoding = {"temperature": temperature, "max_tokens": 512, "top_k": 0, "top_p": 1.0}
        info = EvaluationInfo(
            name=benchmark,
            n_samples=n_samples,
            **{"n_problems": len(verdicts), "decoding": decoding, **body},
        )
        return {"info": info, "verdicts": verdicts, "answers": answers}

    def _evidence(
        self,
        folder: Path,
        info: EvaluationInfo,
        verdicts: Sequence[Sequence[str]],
        answers: Sequence[Sequence[str]] | None,
    ) -> None:
        lines: dict[str, list[dict[str, Any]]] = {"verdicts": [], "samples": [], "evidence": []}
        for number, samples in enumerate(verdicts):
            for sample, verdict in enumerate(samples):
                who = {"task_id": _task(info, number), "sample": sample}
                text = answers[number][sample] if answers else f"answer {number} {sample}"
                prompt = {"messages": [{"role": "user", "content": f"Solve problem {number}."}], "raw": None}
                lines["verdicts"].append({**who, "verdict": verdict, "how": "fenced"})
                lines["samples"].append({**who, "answer": text, "prompt": prompt})
                error = {} if verdict == "passed" else {"error": _ERRORS.get(verdict, ""), "stderr": "Traceback"}
                lines["evidence"].append({**who, "cpu": 0.01, "wall": 0.02, "rss": 1, **error})
        slug = evaluation_slug(info.id)
        for kind, bodies in lines.items():
            (folder / kind).mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(body) + "\n" for body in bodies).encode()
            if kind == "verdicts":
                (folder / kind / f"{slug}.jsonl").write_bytes(text)
            else:
                (folder / kind / f"{slug}.jsonl.gz").write_bytes(gzip.compress(text, mtime=0))

    @staticmethod
    def stage(stage: str, recipe: str = "recipe-a", **more: Any) -> StageResult:
        """A stage that passed."""
        body = {"engine": "reference", "profile": "smoke", "outcome": StageOutcome.PASSED, "seconds": 1.0}
        return StageResult(recipe=recipe, stage=stage, **{**body, "cached": False, "command": "x", **more})


_ERRORS = {
    "wrong": "AssertionError: 3 is not 4",
    "exception": "NameError: name 'List' is not defined",
    "syntax": "SyntaxError: invalid syntax (line 3)",
    "timeout": "",
}


def _task(info: EvaluationInfo, number: int) -> str:
    return f"{ {'humaneval': 'HumanEval', 'mbpp': 'Mbpp'}.get(info.name, info.name) }/{number}"


def _problems(info: EvaluationInfo, verdicts: Sequence[Sequence[str]]) -> list[ProblemResult]:
    return [
        ProblemResult(
            task_id=_task(info, number),
            n=len(samples),
            c=list(samples).count("passed"),
            verdict=samples[0] if samples else "missing",
            verdicts=tuple(samples) if len(samples) > 1 else (),
        )
        for number, samples in enumerate(verdicts)
    ]
