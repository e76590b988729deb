"""What a run came to, as a table of operations and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from apr_leaderboard.model.record import EngineIdentity
from apr_leaderboard.proof.differ.campaign import Campaign
from apr_leaderboard.proof.differ.reproducer import Reproducer

__all__ = ["OUTCOMES", "summary_rows", "summary_text"]

OUTCOMES = ("agree", "differ", "refused", "crashed")


def summary_rows(campaign: Campaign) -> list[tuple[str, ...]]:
    """A heading, a row for each operation, and the sums: cases tried and what they came to, as text."""
    rows: list[tuple[str, ...]] = [("operation", "cases", *OUTCOMES, "grid")]
    totals: Counter[str] = Counter()
    for operation in campaign.operations:
        counts = Counter(seen.outcome for (name, _), seen in campaign.seen.items() if name == operation.name)
        totals.update(counts)
        tried = sum(counts.values())
        grid = "whole" if tried == operation.grid else str(operation.grid)
        rows.append((operation.name, str(tried), *(str(counts[outcome]) for outcome in OUTCOMES), grid))
    rows.append(("all", str(totals.total()), *(str(totals[outcome]) for outcome in OUTCOMES), ""))
    return rows


def summary_text(campaign: Campaign, found: Sequence[Reproducer], engine: EngineIdentity, seconds: float) -> str:
    """SUMMARY.md: the table, and the list of differences with their folders."""
    heading, *rows = summary_rows(campaign)
    table = ["| " + " | ".join(heading) + " |", "|---" * len(heading) + "|"]
    table += ["| " + " | ".join(row) + " |" for row in rows]
    listed = [f"- [{one.group.signature}]({one.folder.name}/REPORT.md): {one.group.cases} cases" for one in found]
    head = f"`apr` {engine.version} against the oracle, seed {campaign.seed}, at most {campaign.cases} cases of each"
    return "\n".join(
        [f"# Differences\n\n{head} operation; {seconds:.0f} s.\n", *table, f"\n## {len(found)} kinds\n", *listed, ""]
    )
