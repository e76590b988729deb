"""Reads the JSON documents of `apr check`, `inspect`, `eval` and `bench` into figures.

A figure the document does not hold is left out: not measured is not zero.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from apr_leaderboard.model.record import Finding

__all__ = [
    "Figures",
    "Reader",
    "bench_figures",
    "check_figures",
    "check_findings",
    "inspect_figures",
    "json_document",
    "perplexity_figures",
]

Figures = dict[str, float | int | str | bool]
Reader = Callable[[Mapping[str, Any]], Figures]
"""Figures of a document; a KeyError, TypeError or ValueError means that it is not the document it should be."""


def json_document(stdout: str) -> dict[str, Any]:
    """The one JSON object on stdout. Raises `ValueError` if there is none, or something else stands beside it."""
    document = json.loads(stdout)
    if not isinstance(document, dict):
        raise ValueError(f"stdout is a JSON {type(document).__name__}, not an object")
    return document


def check_figures(document: Mapping[str, Any]) -> Figures:
    """stages_passed, stages_total of `apr check`, counted over its list and not taken from its totals."""
    stages = document["stages"]
    if not stages:
        raise ValueError("stages, of which there are none")
    passed = sum(stage["status"] == "PASS" for stage in stages)
    return {"stages_passed": passed, "stages_total": len(stages)}


def check_findings(document: Mapping[str, Any], command: str) -> list[Finding]:
    """A finding per stage of the program's self-test that did not pass."""
    return [
        Finding(
            code="self-check-failed",
            message=f"{stage.get('name', 'unnamed')}: {stage.get('details', '')}",
            command=command,
        )
        for stage in document["stages"]
        if stage["status"] != "PASS"
    ]


_INSPECT: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Any], int | str]]]] = {
    "architecture": (("architecture", "metadata.architecture"), str),
    "n_layers": (("num_layers", "metadata.num_layers"), int),
    "hidden_size": (("hidden_size", "metadata.hidden_size"), int),
    "vocab_size": (("vocab_size", "metadata.vocab_size"), int),
    "n_parameters": (("total_params", "metadata.param_count"), int),
    "n_tensors": (("tensor_count",), int),
}


def inspect_figures(document: Mapping[str, Any]) -> Figures:
    """architecture, n_layers, hidden_size, vocab_size, n_parameters, n_tensors of `apr inspect`, as far as it says."""
    figures: Figures = {}
    for figure, (places, kind) in _INSPECT.items():
        for place in places:
            value = _dig(document, place)
            if value is not None:
                figures[figure] = kind(value)
                break
    return figures


def perplexity_figures(document: Mapping[str, Any]) -> Figures:
    """perplexity, n_tokens (as the program counts them), cross_entropy in nats, device of `apr eval`."""
    return {
        "perplexity": float(document["perplexity"]),
        "n_tokens": int(document["tokens_evaluated"]),
        "cross_entropy": float(document["cross_entropy"]),
        "device": str(document["device"]),
    }


def bench_figures(document: Mapping[str, Any]) -> Figures:
    """tokens_per_second, n_tokens, peak memory in MB and backend of `apr bench`."""
    figures: Figures = {
        "tokens_per_second": float(document["tokens_per_second"]),
        "n_tokens": int(document["total_tokens"]),
    }
    if (backend := _dig(document, "provenance.compute_class")) is not None:
        figures["backend"] = str(backend)
    if (memory := _dig(document, "peak_rss_mb")) is not None:
        figures["peak_rss_mb"] = float(memory)
    return figures


def _dig(document: Mapping[str, Any], dotted: str) -> Any:
    value: Any = document
    for key in dotted.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
