"""What items can show of their work, for reports that ask: the first answer that failed, and measured figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apr_leaderboard.bench import program_for
from apr_leaderboard.model.results import BenchmarkResult
from apr_leaderboard.pipeline import Evaluation, EvaluationScore, Workbench
from apr_leaderboard.report import Detail, Exhibit

__all__ = ["problem_detail", "scores_detail"]


def problem_detail(workbench: Workbench, evaluation: Evaluation, index: int) -> Detail:
    """Of a problem that no sample solved, its first answer: prompt, answer, program with check, error and stderr."""
    judged = list(workbench.samples_of(evaluation, index))
    if not judged or any(record["verdict"] == "passed" for _, record in judged):
        return Detail()
    answer, record = judged[0]
    problem = evaluation.problems[index]
    exhibits = [*_asked(evaluation, problem.task_id, answer.sample), Exhibit("answer", answer.text)]
    if not answer.out_of_context:
        made = program_for(problem, answer.extraction(problem, evaluation.profile))
        note = f"# {problem.task_id}, sample {answer.sample}: {record['verdict']}. The program, then its check.\n"
        exhibits.append(Exhibit("program", f"{note}{made.source.rstrip()}\n\n{made.check.rstrip()}\n", "py"))
    exhibits += _ended(record)
    return Detail(exhibits=tuple(exhibits))


def scores_detail(evaluations: Sequence[Evaluation], scores: Sequence[EvaluationScore]) -> Detail:
    """The rates of evaluations with their intervals; `scores` is empty where the answers could not be made."""
    subject = {}
    if len(evaluations) == 1:
        one = evaluations[0].info
        subject = {"benchmark": one.name, "engine": one.engine, "model": one.model, "profile": one.profile}
    return Detail(headline="; ".join(_rate(score.result) for score in scores), subject=subject)


def _asked(evaluation: Evaluation, task_id: str, sample: int) -> Iterator[Exhibit]:
    for prompt in evaluation.answers.prompts:
        if (prompt.task_id, prompt.sample) == (task_id, sample):
            messages = "\n".join(f"[{one.role}]\n{one.content}" for one in prompt.messages)
            yield Exhibit("prompt", prompt.raw or messages)
            return


def _ended(record: dict[str, Any]) -> Iterator[Exhibit]:
    words = "\n".join(filter(None, (record.get("error"), record.get("stderr"))))
    if words:
        yield Exhibit("stderr", words)


def _rate(one: BenchmarkResult) -> str:
    solved = sum(1 for problem in one.problems if problem.c)
    after = f" after {one.after}" if one.after else ""
    rates = "not measured"
    if one.pass_at_k:
        rates = ", ".join(
            f"pass@{k} {rate:.1%} [{one.interval[k].low:.1%}, {one.interval[k].high:.1%}]"
            for k, rate in one.pass_at_k.items()
        )
    return f"{one.name}{after} {rates} ({solved} of {one.n_judged} solved)"
