"""Every dataset and benchmark is accounted for, and every checkpoint says what it came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from apr_leaderboard.bench import BUILT_IN
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.recipe import load_recipe
from apr_leaderboard.model.stage import PREPARED
from apr_leaderboard.proof.check import expect, measured
from apr_leaderboard.proof.lab import Lab
from apr_leaderboard.proof.measuring import merged

__all__ = ["CHECKS"]


def datasets_are_catalogued(lose: Callable[[set[str]], set[str]], lab: Lab) -> str:
    """Each dataset a recipe trains on or calibrates with is in the catalogue: licence, purpose, format, lifecycle."""
    catalogue = lab.workbench.sources.catalogue
    known = lose(set(catalogue.datasets))
    used = {name for name in _used(lab) if "/" not in name}
    expect(used, "no recipe uses a dataset")
    missing = sorted(used - known)
    expect(not missing, f"not in the catalogue: {', '.join(missing)}")
    for name in known:
        entry = catalogue.datasets[name]
        whole = entry.licence and entry.purpose and entry.format and entry.lifecycle and entry.sources
        expect(whole, f"{name}: the entry is not whole")
    return f"{len(used)} datasets in use, {len(known)} in the catalogue"


def benchmarks_are_defined(lose: Callable[[Any], Any], lab: Lab) -> str:
    """Each built-in benchmark says where its data comes from, and pins the bytes of at least the mission's own two."""
    del lab
    pinned = set()
    for benchmark in BUILT_IN:
        data = lose(benchmark.data)
        expect(len(data) > 0, f"{benchmark.name} names no data")
        if any(one.sha256 for one in data):
            pinned.add(benchmark.name)
    expect({"humaneval", "mbpp"} <= pinned, f"not pinned: {', '.join({'humaneval', 'mbpp'} - pinned)}")
    return f"{len(BUILT_IN)} benchmarks, {len(pinned)} of them pinned by digest"


def lineage_is_whole(cut: Callable[[list[Any]], list[Any]], lab: Lab) -> str:
    """A merged model tells every job it went through, with parameters and the digests of what it was made from."""
    made = merged(lab)
    if made.checkpoint is None:
        raise HarnessError("merge left no checkpoint")
    places = (made.checkpoint.path / "lineage.json", made.folder / "lineage.json")
    file = next((place for place in places if place.is_file()), None)
    expect(file is not None, f"{made.folder}: no lineage.json")
    assert file is not None
    body = json.loads(file.read_text(encoding="utf-8"))
    rows = cut(body if isinstance(body, list) else body["stages"])
    expect(rows, "the lineage is empty")
    last = rows[-1]
    expect(last["op"] == "merge" and last["params"]["strategy"] == "slerp", f"the last job is {last.get('op')}")
    digests = list(last["inputs"].values())
    told = len(digests) >= 2 and all(digests) and len(set(digests)) == len(digests)
    expect(told, f"inputs: {last['inputs']}; each of the two models has a digest of its own")
    return f"{lab.engine.name}: {len(rows)} jobs, {len(last['inputs'])} inputs by digest"


def _used(lab: Lab) -> set[str]:
    """What any stage of any recipe reads by name; what a prep-data stage leaves is no dataset of its own."""
    names = set()
    for file in sorted((lab.root / "recipes").glob("recipe-*.yaml")):
        for profile in load_recipe(file).value.profiles.values():
            trained = (profile.prep_data, profile.distill, profile.finetune, profile.align)
            names |= {stage.dataset for stage in trained if stage is not None}
            if profile.prune is not None and profile.prune.calibration is not None:
                names.add(profile.prune.calibration)
    return names - {PREPARED}


CHECKS: Final = (
    measured("FALSIFY-GOV-001", datasets_are_catalogued, lambda names: names, lambda names: set(sorted(names)[:1])),
    measured("FALSIFY-GOV-002", benchmarks_are_defined, lambda data: data, lambda data: data[:0]),
    measured("FALSIFY-GOV-003", lineage_is_whole, lambda rows: rows, lambda rows: rows[:-1]),
)
