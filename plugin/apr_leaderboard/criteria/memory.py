"""What finetuning holds in memory: measured on a small model, and computed from that for a 7B."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from apr_leaderboard.criteria.losses import held_bytes
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.criteria.weighing import tensors_of
from apr_leaderboard.engine import Checkpoint, FinetuneJob, Progress, Watch
from apr_leaderboard.model.record import StageRecord
from apr_leaderboard.model.stage import FinetuneParams
from apr_leaderboard.pipeline import EngineStep
from apr_leaderboard.proof.lab import Made
from apr_leaderboard.store import Store

__all__ = ["descendants", "memory_of_7b", "peak_resident", "trained_for_memory"]

_DATA: Final = "smoke-subset"
_PEAK: Final = "peak_rss_bytes"

# Qwen2.5-7B, from its config.json: layers, width, inner width, width of keys and values, vocabulary.
_LAYERS, _WIDTH, _INNER, _NARROW, _VOCAB = 28, 3584, 18944, 512, 152064
_RANK: Final = 16


class _Watched(EngineStep):
    """A training whose record also has the most memory that its process held, looked up at each word of progress.

    Not as the process tells it: what getrusage(2) gives is at least what the process that started it held before.
    """

    def build(self, models: tuple[Checkpoint, ...], out: Path, store: Store, watch: Watch) -> StageRecord:
        """As `EngineStep.build`."""
        before, peaks = descendants(os.getpid()), [0]

        def note(progress: Progress) -> None:
            peaks.extend(peak_resident(pid) for pid in descendants(os.getpid()) - before)
            watch(progress)

        record = super().build(models, out, store, note)
        if not max(peaks):
            return record
        return record.model_copy(update={"figures": {**record.figures, _PEAK: max(peaks)}})


def descendants(pid: int) -> set[int]:
    """The processes that `pid` started, and those that they did, as /proc has them; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # gone in between
            parent = int(stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, todo = set[int](), [pid]
    while todo:
        own = children.get(todo.pop(), [])
        found.update(own)
        todo += own
    return found


def peak_resident(pid: int) -> int:
    """Bytes of the most that a process held since its program started (proc(5), VmHWM); 0 for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    told = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return 0 if told is None else int(told.group(1)) * 1024


def trained_for_memory(trial: Trial, method: Literal["lora", "qlora"]) -> Made:
    """The model asked, finetuned once over a small dataset: the same samples and rank for each method.

    A step of its own, as what it adds to the record differs from run to run.
    """
    data = trial.root / "recipes" / "data" / f"{_DATA}.jsonl"
    params = FinetuneParams(method=method, dataset=_DATA, rank=_RANK, epochs=1, max_seq_len=192)
    plain = {**params.model_dump(mode="json", exclude={"dataset"}), "watched": 2}
    step = trial.step(lambda found: FinetuneJob(found[0], data, params), plain, [trial.model()], data)
    watched = _Watched(step.label, step.engine, step.node, step.upstream, step.make_job)
    made = trial.done(watched)
    trial.note(trial.workbench.runner.run(watched))
    return made


def memory_of_7b(made: Made) -> float:
    """Bytes held by weights, adapter and optimizer in LoRA or QLoRA of rank 16 on Qwen2.5-7B.

    Each matrix of the layers takes as many bytes a weight as those of the small model took, embeddings and norms four;
    adapter and optimizer take as much a trained weight as they did there. Activations are left out: they are the same.
    """
    frozen, trained, optimizer = held_bytes(made)
    tensors = tensors_of(made)
    matrices = sum(one.size for name, one in tensors.items() if one.ndim == 2 and "layers." in name)
    rest = sum(one.size for name, one in tensors.items() if not (one.ndim == 2 and "layers." in name))
    per_weight = (frozen - 4 * rest) / matrices
    layer = 2 * _WIDTH * _WIDTH + 2 * _WIDTH * _NARROW + 3 * _WIDTH * _INNER
    adapter = _RANK * (2 * (_WIDTH + _WIDTH) + 2 * (_WIDTH + _NARROW) + 3 * (_WIDTH + _INNER))
    moved = 4.0 * _LAYERS * adapter
    return per_weight * _LAYERS * layer + 4.0 * 2 * _VOCAB * _WIDTH + moved * (1 + optimizer / trained)
