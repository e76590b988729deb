"""`apr-leaderboard prompts`: a benchmark's prompts as the exact texts a model is to continue, for use elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from apr_leaderboard.cli.grouped import grouped
from apr_leaderboard.engine import Checkpoint, ignore_progress, make_engine
from apr_leaderboard.engine.peers import Template, render_prompts, write_rendered
from apr_leaderboard.errors import RequestError
from apr_leaderboard.model.catalogue import load_catalogue
from apr_leaderboard.pipeline.evaluation import Decoding, EvaluationMaker
from apr_leaderboard.pipeline.origin import Sources
from apr_leaderboard.source import default_cache, default_catalogue, fetch, resolve_model

__all__ = ["prompts"]


@dataclass(frozen=True)
class _Asked:
    """What `prompts` is asked."""

    benchmark: Annotated[str, typer.Argument(metavar="BENCHMARK", help="Such as humaneval or mbpp.")]
    model: Annotated[str, typer.Option(help="Whose tokenizer and chat template: a catalogue name or a path.")]
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write, JSON lines.")]
    profile: Annotated[str | None, typer.Option(help="Prompt profile; the benchmark's own when not given.")] = None
    samples: Annotated[int, typer.Option(min=1, help="Samples a problem, each with a seed of its own.")] = 1
    seed: Annotated[int, typer.Option(min=0, help="Every sample's own seed is derived from it.")] = 0
    template: Annotated[
        Template, typer.Option(help="model: the model's own chat template; chatml: bare ChatML turns.")
    ] = Template.MODEL
    data: Annotated[Path | None, typer.Option(help="The benchmark's data file, where it comes with no package.")] = None
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many problems.")] = None
    positions: Annotated[
        int | None, typer.Option(min=1, help="Mark prompts that do not fit so many positions with an answer.")
    ] = None
    max_tokens: Annotated[int, typer.Option(min=1, help="The answer's length that --positions must hold.")] = 512


@grouped
def prompts(asked: _Asked) -> None:
    """Write one line a prompt: the rendered text, its token ids, seed and stop strings.

    The answers come back with `pytest -m BENCHMARK --apr-completions FILE`. With --positions, a prompt that does not
    fit is written with `"fits": false`, so that whoever answers can say so instead of trying.
    """
    if asked.data is not None and not asked.data.is_file():
        raise RequestError(f"--data: got {asked.data}; accepted: an existing file")
    cache = default_cache()
    catalogue = load_catalogue(default_catalogue(Path.cwd()))
    entry = resolve_model(asked.model, catalogue)
    checkpoint = Checkpoint(fetch(entry, cache=cache).path, entry.format)
    sources = Sources(catalogue, cache, lambda: make_engine("reference"), ignore_progress)
    maker = EvaluationMaker(Path.cwd(), sources, data=asked.data, limit=asked.limit)
    how = Decoding(profile=asked.profile, samples=asked.samples, seed=asked.seed)
    lines = list(render_prompts(checkpoint, maker.prompts(asked.benchmark, how)[0], asked.template))
    for line in lines if asked.positions is not None else ():
        line["fits"] = len(line["ids"]) + asked.max_tokens <= (asked.positions or 0)
    longest = max((len(line["ids"]) for line in lines), default=0)
    left = sum(not line.get("fits", True) for line in lines)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    written = write_rendered(asked.out, iter(lines))
    typer.echo(f"{written} prompts, the longest {longest} tokens, {left} that do not fit")
