"""The criteria of a run as a table: criteria down, engines and models across, and what kept each from passing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apr_leaderboard.criteria import by_criterion, worst
from apr_leaderboard.model.results import CriterionOutcome, CriterionResult, Measure

__all__ = ["criteria_table", "criteria_words"]

_MOST_WORDS = 400


def criteria_table(results: Sequence[CriterionResult]) -> list[list[str]]:
    """A head and one row a criterion; a cell is the worst outcome of its tests, and the figure that decided."""
    found = by_criterion(results)
    columns = list(dict.fromkeys((engine, model) for _, engine, model in found))
    columns.sort(key=lambda column: (column[0] == "suite", column))
    table = [["criterion", *(engine if model == "-" else f"{engine} on {model}" for engine, model in columns)]]
    for id_ in dict.fromkeys(id_ for id_, _, _ in found):
        cells = [found.get((id_, *column)) for column in columns]
        table.append([id_, *("-" if tests is None else _cell(tests) for tests in cells)])
    return table


def criteria_words(results: Sequence[CriterionResult]) -> Iterator[str]:
    """One line for each test that did not pass, and how many did what."""
    counts = dict.fromkeys(CriterionOutcome, 0)
    for tests in by_criterion(results).values():
        counts[worst(one.outcome for one in tests)] += 1
        for one in tests:
            if one.outcome is not CriterionOutcome.PASS:
                reason = " ".join(one.reason.split())
                shown = reason if len(reason) <= _MOST_WORDS else reason[:_MOST_WORDS] + "…"
                yield f"{one.criterion} {one.part} [{one.engine}, {one.model}]: {one.outcome.value}: {shown}"
    if any(one.saboteur is not None for one in results):
        tried = [one for one in results if one.saboteur is not None]
        red = sum(one.outcome is CriterionOutcome.FAIL and not one.words for one in tried)
        yield f"saboteurs: {red} of {len(tried)} red; {len(results) - len(tried)} tests stated as unfalsifiable"
    else:
        yield "criteria: " + ", ".join(f"{n} {outcome.value}" for outcome, n in counts.items() if n)


def _cell(tests: Sequence[CriterionResult]) -> str:
    outcome = worst(one.outcome for one in tests)
    decisive = next((one for one in tests if one.outcome is outcome), tests[0])
    judged = [one for one in decisive.measures if one.bound is not None]
    figure = next((one for one in judged if one.holds is False), judged[0] if judged else None)
    if figure is None or outcome in (CriterionOutcome.BLOCKED, CriterionOutcome.NOT_RUN):
        return outcome.value
    return f"{outcome.value} ({_shown(figure)})"


def _shown(figure: Measure) -> str:
    value = f"{figure.value:.4g}" if isinstance(figure.value, float) else str(figure.value)
    return f"{figure.name} {value}{' ' + figure.unit if figure.unit else ''}, {figure.bound}"
