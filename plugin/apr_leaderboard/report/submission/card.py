"""The model card: metadata that the hub reads, made by huggingface_hub, and the same for people with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from apr_leaderboard.model.results import BenchmarkResult, EvaluationInfo
from apr_leaderboard.report.submission.checks import Check
from apr_leaderboard.report.submission.facts import Submission

__all__ = ["card_of"]

_DATASETS = {
    "humaneval": ("openai/openai_humaneval", "HumanEval"),
    "humaneval-plus": ("evalplus/humanevalplus", "HumanEval+"),
    "mbpp": ("google-research-datasets/mbpp", "MBPP"),
    "mbpp-plus": ("evalplus/mbppplus", "MBPP+"),
}
"""A benchmark's dataset on the hub, and its usual name."""


def card_of(submission: Submission, checks: Sequence[Check]) -> str:
    """README.md as text: YAML with one result a benchmark and k, then scores, lineage, licences, checks, commands."""
    from huggingface_hub import ModelCardData  # takes a moment to import

    hub = submission.base.hub
    data = ModelCardData(
        model_name=submission.title,
        license=_licence_id(submission.licence),
        base_model=hub,
        datasets=[one.hub for one in submission.inputs if one.kind == "training data" and one.hub] or None,
        eval_results=[result for one in submission.scores for result in _results(one, submission)] or None,
        language="en",
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["code", "apr-leaderboard", submission.recipe.name],
    )
    body = "\n".join(_body(submission, checks))
    return f"---\n{data.to_yaml()}\n---\n\n{body}\n"


def _licence_id(licence: str) -> str:
    """As the hub writes it: SPDX in lower case."""
    return licence.lower().replace(" ", "-")


def _results(one: BenchmarkResult, submission: Submission) -> Iterator[Any]:
    from huggingface_hub import EvalResult

    kind, name = _DATASETS.get(one.name, (one.name, one.name))
    for k, rate in one.pass_at_k.items():
        interval = one.interval[k]
        yield EvalResult(
            task_type="text-generation",
            dataset_type=kind,
            dataset_name=name,
            dataset_revision=f"sha256:{submission.run.datasets.get(one.name, 'unknown')}",
            metric_type="pass@k",
            metric_name=f"pass@{k}",
            metric_value=round(100 * rate, 2),
            metric_args={
                "interval": [round(100 * interval.low, 2), round(100 * interval.high, 2)],
                "level": interval.level,
                "method": interval.method,
                "n_problems": one.n_judged,
                "n_samples": one.n_samples,
                "prompt": one.profile,
                "engine": one.engine,
                **one.decoding,
            },
        )


def _body(submission: Submission, checks: Sequence[Check]) -> Iterator[str]:
    yield f"# {submission.title}"
    yield ""
    recipe = f"`{submission.recipe.name}` ({submission.profile} profile)"
    yield f"{submission.recipe.title}: {recipe} on {submission.base.name},"
    yield f"by {submission.engine.name} {submission.engine.version} (build `{submission.engine.build[:12]}`)."
    yield ""
    yield from _scores(submission)
    yield from _lineage(submission)
    yield "## Made from\n"
    yield "| what | name | licence |\n|---|---|---|"
    yield from (f"| {one.kind} | {_linked(one.name, one.hub)} | {one.licence} |" for one in submission.inputs)
    yield ""
    yield "## Checked before it was given away\n"
    yield "| check | outcome | |\n|---|---|---|"
    yield from (f"| {check.name} | {check.outcome} | {_cell(check.words)} |" for check in checks)
    yield ""
    yield from _provenance(submission)


def _scores(submission: Submission) -> Iterator[str]:
    if not submission.scores:
        return
    yield "## Scores\n"
    yield "| benchmark | | value | 95 % interval | problems | samples | before |\n|---|---|---|---|---|---|---|"
    for one in submission.scores:
        before = next((base for base in submission.baselines if base.name == one.name), None)
        for k, rate in one.pass_at_k.items():
            interval = one.interval[k]
            was = f"{before.pass_at_k[k]:.1%}" if before is not None and k in before.pass_at_k else ""
            yield (
                f"| {one.name} | pass@{k} | {rate:.1%} | {interval.low:.1%} to {interval.high:.1%} ({interval.method}) "
                f"| {one.n_judged} | {one.n_samples} | {was} |"
            )
    yield f"\nPrompts: {_prompts(submission.scores)}. Programs ran sandboxed ({submission.run.sandbox}).\n"


def _prompts(scores: Sequence[EvaluationInfo]) -> str:
    asked = {
        f"{one.profile}, " + ", ".join(f"{name} {value:g}" for name, value in one.decoding.items()) for one in scores
    }
    return "; ".join(sorted(asked))


def _lineage(submission: Submission) -> Iterator[str]:
    yield "## What was done\n"
    yield "| stage | digest | figures |\n|---|---|---|"
    for stage in submission.stages:
        figures = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in stage.figures.items()
        )
        yield f"| {stage.stage} | `{(stage.digest or '')[:16]}` | {_cell(figures)} |"
    yield ""


def _provenance(submission: Submission) -> Iterator[str]:
    run = submission.run
    commit = f" at `{run.tool.commit[:12]}`" if run.tool.commit else ""
    yield "## Again\n"
    yield f"apr-leaderboard {run.tool.version}{commit}, {run.python}:\n"
    profile = "" if submission.profile == "smoke" else f" --apr-profile {submission.profile}"
    mark = "_".join(submission.recipe.name.split("-")[:2])
    yield f"```console\n$ pytest -m {mark} --apr-engine {submission.engine.name}{profile}\n```"


def _linked(name: str, hub: str | None) -> str:
    return f"[{name}](https://huggingface.co/{hub})" if hub else name


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
