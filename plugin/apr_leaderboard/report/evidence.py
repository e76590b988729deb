"""What stands behind a score, sample by sample, as files beside results.json.

`verdicts/` holds nothing that varies from run to run: equal runs give equal bytes, whatever the number of workers.
`samples/` has what was asked and answered, `evidence/` the times, sizes and messages; `losses/` each training's steps.
`evidence/index.json` says what each was made of, so that nothing is written again that would be the same.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from apr_leaderboard.errors import FileFormatError
from apr_leaderboard.pipeline import Evaluation, Workbench, json_line

__all__ = ["evaluation_slug", "read_lines", "write_evidence"]

_INDEX = Path("evidence") / "index.json"
_LOSSES = "losses.jsonl"
_VARYING = ("cpu", "wall", "rss", "error", "stderr", "retried")


def evaluation_slug(evaluation_id: str) -> str:
    """The evaluation's id as a file name."""
    return re.sub(r"[^\w.@-]+", "-", evaluation_id)


def write_evidence(folder: Path, workbench: Workbench) -> None:
    """Write the three files of every evaluation that has answers, and the losses of every training.

    What is there and made of the same is left alone. Raises `OSError`, and as `Workbench.samples`.
    """
    index = _read_index(folder / _INDEX)
    known = dict(index)
    for evaluation in workbench.all_evaluations:
        made_of = workbench.fingerprint(evaluation)
        slug = evaluation_slug(evaluation.id)
        files = _files(folder, slug)
        if made_of is not None and index.get(slug) == made_of and all(file.is_file() for file in files):
            continue
        _write_one(files, evaluation, workbench)
        known.pop(slug, None)
        if made_of is not None and all(file.is_file() for file in files):
            known[slug] = made_of
    if known != index:
        _replace(folder / _INDEX, (json.dumps(known, indent=1, sort_keys=True) + "\n").encode())
    _write_losses(folder, workbench)


def _files(folder: Path, slug: str) -> tuple[Path, Path, Path]:
    return (
        folder / "verdicts" / f"{slug}.jsonl",
        folder / "samples" / f"{slug}.jsonl.gz",
        folder / "evidence" / f"{slug}.jsonl.gz",
    )


def _read_index(file: Path) -> dict[str, str]:
    """What is written there, as far as it can be read: a damaged index costs writing again, nothing else."""
    try:
        body = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _replace(file: Path, text: bytes) -> None:
    """The file with this text, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.tmp")
    draft.write_bytes(text)
    draft.replace(file)


def _write_losses(folder: Path, workbench: Workbench) -> None:
    """Each trained stage's steps, as the engine left them."""
    for plan in workbench.plans:
        for stage in plan.stages:
            entry = None if stage.step is None else workbench.store.peek(stage.step.node)
            if entry is None or _LOSSES not in entry.files:
                continue
            name = evaluation_slug(f"{plan.recipe.name}-{stage.name.value}-{plan.engine.name}")
            target, text = folder / "losses" / f"{name}.jsonl", entry.file(_LOSSES).read_bytes()
            if not target.is_file() or target.read_bytes() != text:
                _replace(target, text)


def _write_one(files: tuple[Path, Path, Path], evaluation: Evaluation, workbench: Workbench) -> None:
    prompts = {prompt.key: prompt for prompt in evaluation.answers.prompts}
    with (
        _Writer(files[0]) as verdicts,
        _Writer(files[1]) as samples,
        _Writer(files[2]) as evidence,
    ):
        for problem, answer, record in workbench.samples(evaluation):
            who = {"task_id": problem.task_id, "sample": answer.sample}
            verdicts.write({**who, "verdict": record["verdict"], "how": record["how"]})
            prompt = prompts.get((problem.task_id, answer.sample))
            asked = {} if prompt is None else {"prompt": prompt.model_dump(mode="json", exclude={"task_id", "sample"})}
            samples.write({**who, **answer.as_line(), **asked})
            evidence.write({**who, **{key: record[key] for key in _VARYING if key in record}})


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The lines of one of these files. Raises `OSError`, and `FileFormatError` for one that is cut off or damaged."""
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            for line in lines:
                yield json.loads(line)
    except (EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        raise FileFormatError(file, "", f"cannot be read: {error}", allowed="a file as --apr-report wrote it") from None


class _Writer:
    """JSON Lines, gzipped without name or time where the file's name says so; made when the first line comes.

    The file takes its place when all lines are in, so that a run that is ended leaves the one before it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._draft = file.with_name(f".{file.name}.tmp")
        self._raw: IO[bytes] | None = None
        self._out: IO[bytes] | gzip.GzipFile | None = None

    def __enter__(self) -> _Writer:
        return self

    def write(self, body: dict[str, Any]) -> None:
        """One line, keys sorted."""
        if self._out is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._raw = self._draft.open("wb")
            packed = self._file.suffix == ".gz"
            self._out = gzip.GzipFile("", "wb", 6, fileobj=self._raw, mtime=0) if packed else self._raw
        self._out.write(json_line(body))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for stream in (self._out, self._raw):
            if stream is not None:
                stream.close()
        if self._out is not None and kind is None:
            self._draft.replace(self._file)
        elif self._out is not None:
            self._draft.unlink(missing_ok=True)
