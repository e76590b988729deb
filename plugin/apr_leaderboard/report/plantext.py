"""What --apr-plan prints: the graph, stage by stage, without running anything."""

from __future__ import annotations

from collections.abc import Iterator

from apr_leaderboard.errors import EngineRefusedError
from apr_leaderboard.pipeline import EngineStep, Evaluation, Plan, Workbench

__all__ = ["plan_lines"]


def plan_lines(workbench: Workbench) -> Iterator[str]:
    """For each recipe and engine: each stage, the exact command, estimated size, and whether the store has it."""
    for plan in workbench.plans:
        yield from _plan(plan, workbench)
    for evaluation in workbench.asked:
        yield from _evaluation(evaluation, workbench, "")


def _plan(plan: Plan, workbench: Workbench) -> Iterator[str]:
    yield f"{plan.recipe.name} ({plan.profile_name}) on {plan.engine.name}"
    stages = {stage.step.key for stage in plan.stages if stage.step is not None}
    for step in _made_before(plan):
        if step.key not in stages:
            yield from _step(step, workbench)
    if not isinstance(plan.model, EngineStep):
        size = _size(plan.model.size_hint(workbench.store), estimated=False)
        yield f"  model {plan.model.label}: {size}"
        yield f"    {plan.model.planned(workbench.store).path}"
    for stage in plan.stages:
        if stage.step is not None:
            yield from _step(stage.step, workbench)
        if stage.perplexity is not None:
            yield from _step(stage.perplexity, workbench)
        for evaluation in stage.evaluations:
            yield from _evaluation(evaluation, workbench, "  ")


def _made_before(plan: Plan) -> Iterator[EngineStep]:
    """Every step of the graph below the stages, each once, after those it needs: models and teachers to be made."""
    seen: set[str] = set()

    def walk(upstream: object) -> Iterator[EngineStep]:
        if isinstance(upstream, EngineStep) and upstream.key not in seen:
            seen.add(upstream.key)
            for below in upstream.upstream:
                yield from walk(below)
            yield upstream

    yield from walk(plan.model)
    for stage in plan.stages:
        yield from walk(stage.step)


def _step(step: EngineStep, workbench: Workbench) -> Iterator[str]:
    cached = workbench.store.peek(step.node) is not None
    size = _size(step.size_hint(workbench.store), estimated=not cached)
    yield f"  {step.label}: {'cached' if cached else 'to do'}, {size}"
    try:
        yield f"    {step.command(workbench.store)}"
    except EngineRefusedError as error:
        yield f"    no command: {error}"
    for line in step.refusals(workbench.store):
        yield f"    {line}"


def _evaluation(evaluation: Evaluation, workbench: Workbench, indent: str) -> Iterator[str]:
    state = "cached" if workbench.answers_here(evaluation) else "to do"
    n = len(evaluation.problems) * evaluation.answers.samples
    yield f"{indent}eval: {evaluation.title}: {n} answers, {state}"
    yield f"{indent}  {evaluation.answers.command(workbench.store)}"


def _size(size: int | None, *, estimated: bool) -> str:
    if size is None:
        return "size not known"
    amount, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{'about ' if estimated else ''}{amount:.1f} {unit}"
