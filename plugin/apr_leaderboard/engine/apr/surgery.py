"""What `apr merge`, `prune` and `quantize` left is opened and measured here, against what was asked.

No output, tensors missing, or values that are not finite are an `EngineOutputError`. What is there but not as asked is
a finding, with the figure that shows it; where it shows that another thing was done, the stage fails by it, and the
next one still gets what was written.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from apr_leaderboard.engine.apr.outputs import Figures
from apr_leaderboard.engine.apr.surgery_models import AnyModel, Values, is_matrix, open_model
from apr_leaderboard.engine.jobs import Checkpoint, MergeJob, PruneJob, QuantizeJob
from apr_leaderboard.errors import EngineOutputError
from apr_leaderboard.model.record import Finding

__all__ = ["SurgeryJob", "dropped_findings", "verify_surgery"]

SurgeryJob = MergeJob | PruneJob | QuantizeJob

_SHAPE_KEYS = ("num_layers", "num_heads", "num_kv_heads", "hidden_size", "vocab_size")
_MOVED = 1e-6
_SPARSITY_SLACK = 0.01
_UNDONE = frozenset(
    {
        "density-not-honoured",
        "layers-not-renumbered",
        "method-is-magnitude",
        "not-smaller",
        "shapes-kept",
        "signs-not-by-mass",
        "sparsity-off-target",
    }
)
"""Findings by which the output is not what was asked for: another method, another share, no smaller file."""


@dataclass
class _Report:
    command: str
    figures: Figures = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def find(self, code: str, message: str) -> None:
        undone = code in _UNDONE
        self.findings.append(Finding(code=code, message=message, command=self.command, undone=undone))


def verify_surgery(job: SurgeryJob, path: Path, argv: Sequence[str]) -> tuple[Figures, list[Finding]]:
    """Figures and findings of a finished job. Raises `EngineOutputError` for an output that is no model."""
    report = _Report(shlex.join(argv))
    try:
        written = open_model(Checkpoint(path, "apr"))
        source = open_model(job.models[0] if isinstance(job, MergeJob) else job.model)
        if isinstance(job, MergeJob):
            _merge(job, written, source, report)
        elif isinstance(job, PruneJob):
            _prune(job, written, source, report)
        else:
            _quantize(job, written, source, report)
        for name in written.shapes:
            values = written.values(name)
            if values is not None and not bool(np.isfinite(values).all()):
                raise ValueError(f"tensor {name}: {int((~np.isfinite(values)).sum())} values are not finite")
    except FileNotFoundError:
        raise EngineOutputError("apr", f"reported success but wrote no {path.name}", command=argv) from None
    except ValueError as error:
        raise EngineOutputError("apr", f"{path.name}: {error}", command=argv) from error
    _dropped(written, source, report)
    report.figures |= {"n_tensors": len(written.shapes), "n_parameters": written.n_values}
    return report.figures, report.findings


def dropped_findings(written: AnyModel, source: AnyModel, command: str) -> list[Finding]:
    """A finding for each thing around the weights that `source` had and `written` has not: tokenizer, configuration."""
    report = _Report(command)
    _dropped(written, source, report)
    return report.findings


def _dropped(written: AnyModel, source: AnyModel, report: _Report) -> None:
    """What the model had around its weights and has no more."""
    if written.apr is None:
        message = f"{written.path.name} is no .apr file inside but {written.kind}, which has no place for a tokenizer"
        report.find("format-mislabelled", message + " or a configuration: no other job of the program reads it")
    had = source.apr.metadata if source.apr is not None else {}
    has = written.apr.metadata if written.apr is not None else {}
    if not (written.apr and written.apr.vocabulary_size and written.apr.has_merges):
        report.find("tokenizer-dropped", f"a vocabulary of {len(has.get('tokenizer.vocabulary', ()))} tokens is left")
    lost = [key for key in _SHAPE_KEYS if had.get(key) is not None and has.get(key) is None]
    if lost:
        report.find("config-dropped", f"the checkpoint no longer says its {', '.join(lost)}")


def _same_tensors(written: AnyModel, source: AnyModel) -> None:
    missing, extra = sorted(set(source.shapes) - set(written.shapes)), sorted(set(written.shapes) - set(source.shapes))
    if missing or extra:
        raise ValueError(f"tensors missing: {missing[:3]}, unexpected: {extra[:3]}")
    for name, shape in source.shapes.items():
        if written.shapes[name] != shape:
            raise ValueError(f"tensor {name}: shape {list(written.shapes[name])} where the input has {list(shape)}")


# -- merge ------------------------------------------------------------------------------------------------------------


def _merge(job: MergeJob, written: AnyModel, source: AnyModel, report: _Report) -> None:
    _same_tensors(written, source)
    report.figures["n_models"] = len(job.models)
    if job.base is None or job.params.strategy not in ("ties", "dare"):
        return
    base, inputs = open_model(job.base), [source, *(open_model(model) for model in job.models[1:])]
    counts = np.zeros(4, np.int64)
    for name in base.shapes:
        tensors = [model.values(name) for model in (base, written, *inputs)]
        known = [tensor for tensor in tensors if tensor is not None]
        if len(known) == len(tensors):
            counts += _task_counts(known[0], known[1], known[2:])
    moved, moving, conflicts, against = (int(n) for n in counts)
    report.figures |= {"conflicts_before": conflicts, "conflicts_after": against}
    if moving:  # inputs that are their base have nothing to keep a share of
        report.figures["moved_share"] = moved / moving
        _density(job, moved / moving, report)
    if job.params.strategy == "ties" and against:
        report.find("signs-not-by-mass", f"{against} merged entries go against the sign of the summed task vectors")


def _density(job: MergeJob, kept: float, report: _Report) -> None:
    """Whether as many entries moved as a density, or what is not dropped, can move; the defaults are the program's."""
    params, n_models = job.params, len(job.models)
    share = 0.2 if params.density is None else params.density
    if params.strategy == "dare":
        share = 1 - (0.9 if params.drop_rate is None else params.drop_rate)
    low, high = share - _SPARSITY_SLACK, min(1.0, n_models * share) + _SPARSITY_SLACK
    if not low <= kept <= high:
        report.find(
            "density-not-honoured",
            f"{kept:.3f} of the entries moved where keeping {share:g} of each of {n_models} task vectors moves"
            f" {max(low, 0):.2f} to {high:.2f}",
        )


def _task_counts(base: Values, merged: Values, inputs: Sequence[Values]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Entries that moved, that some input moved, where inputs pull apart, and that went against the inputs' sum."""
    tasks = np.stack([tensor - base for tensor in inputs])
    change = np.where(np.abs(merged - base) > _MOVED, merged - base, 0)
    apart = (tasks > 0).any(axis=0) & (tasks < 0).any(axis=0)
    against = (change != 0) & (np.sign(change) != np.sign(tasks.sum(axis=0)))
    return np.array([np.count_nonzero(x) for x in (change, (tasks != 0).any(axis=0), apart, against)], np.int64)


# -- prune ------------------------------------------------------------------------------------------------------------


def _prune(job: PruneJob, written: AnyModel, source: AnyModel, report: _Report) -> None:
    method, ratio = job.params.method, job.params.target_ratio
    report.figures["target_ratio"] = ratio
    if method == "depth":
        _prune_depth(written, source, ratio, report)
        return
    smaller = [name for name, shape in written.shapes.items() if shape != source.shapes.get(name)]
    if not smaller:
        _same_tensors(written, source)
        if method == "structured":
            report.find("shapes-kept", "no tensor is smaller: single weights were set to zero, nothing was cut out")
    zeros, values, all_zeros, vectors = 0, 0, 0, []
    for name, shape in written.shapes.items():
        array = written.values(name)
        if array is None:
            continue
        here = array.size - int(np.count_nonzero(array))
        all_zeros += here
        if is_matrix(name, shape):
            zeros, values = zeros + here, values + array.size
        elif len(shape) == 1 and here and "norm" in name:
            vectors.append(name)
    if not values:
        report.find("sparsity-not-measured", "no matrix of its layers is in a packing that can be read here")
        return
    sparsity = zeros / values
    report.figures |= {"sparsity": sparsity, "sparsity_total": all_zeros / written.n_values}
    if not smaller and abs(sparsity - ratio) > _SPARSITY_SLACK:
        report.find("sparsity-off-target", f"{sparsity:.4f} of the layers' matrices are zero where {ratio:g} was asked")
    if vectors:
        report.find("norms-pruned", f"{len(vectors)} norms have zeros now, such as {vectors[0]}: a feature is cut off")
    if method != "magnitude" and not smaller and _is_magnitude(written, source):
        report.find(
            "method-is-magnitude",
            f"{method}: in every matrix exactly the smallest weights are zero, as with magnitude",
        )


def _is_magnitude(written: AnyModel, source: AnyModel) -> bool:
    """Whether each matrix is the source's with nothing but its smallest weights gone; not where none is gone."""
    any_gone = False
    for name, shape in source.shapes.items():
        before, after = source.values(name), written.values(name)
        if not is_matrix(name, shape) or before is None or after is None:
            continue
        gone = (after == 0) & (before != 0)
        if not np.array_equal(after[~gone], before[~gone]):
            return False
        if gone.any() and np.abs(before[gone]).max() > np.abs(before[~gone]).min(initial=np.inf):
            return False
        any_gone |= bool(gone.any())
    return any_gone


def _prune_depth(written: AnyModel, source: AnyModel, ratio: float, report: _Report) -> None:
    kept, had = (_layers(model) for model in (written, source))
    share = 1 - len(kept) / len(had)
    report.figures |= {"n_layers": len(kept), "sparsity": share}
    # Layers are whole: the share may be off by less than one of them.
    if len(kept) == len(had) or abs(share - ratio) >= 1 / len(had):
        report.find("sparsity-off-target", f"{len(kept)} of {len(had)} layers are left where {ratio:g} were to go")
    if kept != list(range(len(kept))):
        report.find("layers-not-renumbered", f"layers {kept} are left under their old numbers: no loader finds them")


def _layers(model: AnyModel) -> list[int]:
    return sorted({int(word) for name in model.shapes for word in name.split(".") if word.isdigit()})


# -- quantize ---------------------------------------------------------------------------------------------------------


def _quantize(job: QuantizeJob, written: AnyModel, source: AnyModel, report: _Report) -> None:
    _same_tensors(written, source)
    size, half = written.path.stat().st_size, 2 * source.n_values
    error, seen = 0.0, 0
    for name in written.shapes:
        before, after = source.values(name), written.values(name)
        if before is not None and after is not None:
            error += float(np.sum(np.square(before - after, dtype=np.float64)))
            seen += before.size
    report.figures |= {"size_bytes": size, "size_fp16_bytes": half}
    if seen:
        report.figures |= {"rmse": (error / seen) ** 0.5, "compared_share": seen / written.n_values}
    if job.params.scheme in ("int4", "q4k") and size >= half / 2:
        report.find(
            "not-smaller", f"{size} bytes, {size / half:.2f} of half precision's {half}; under 0.50 is the claim"
        )
