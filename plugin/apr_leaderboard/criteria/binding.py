"""The contracts' obligations, settled once for the same code: kept in the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apr_leaderboard.criteria.quality import sources_digest
from apr_leaderboard.criteria.trial import Trial
from apr_leaderboard.engine import Engine
from apr_leaderboard.errors import HarnessError
from apr_leaderboard.model.contract import load_contract
from apr_leaderboard.model.results import ObligationOutcome, ObligationResult
from apr_leaderboard.proof import Lab, bind, built_in_checks, settle

__all__ = ["settled"]

_PATTERNS = ("plugin/apr_leaderboard/**/*.py", "contracts/*.yaml", "recipes/*.yaml", "recipes/data/*")


class _ReferenceLab(Lab):
    """The suite's own contracts are measured on the reference engine, whichever is asked for, in the trial's folder."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(lambda: trial.workbench)
        self._folder = trial.folder / "contracts"
        self._folder.mkdir(exist_ok=True)

    @property
    def folder(self) -> Path:
        """Not one of its own, which would go when this is forgotten, with a warning in whichever test comes next."""
        return self._folder

    @property
    def engine(self) -> Engine:
        """The reference."""
        return self.workbench.engine("reference")


def settled(trial: Trial) -> list[ObligationResult]:
    """Every obligation of contracts/, with the outcome of its checks and of their saboteurs.

    Raises `HarnessError` where one cannot be settled, and where there are no contracts.
    """
    folder = trial.root / "contracts"
    if not folder.is_dir():
        raise HarnessError(f"{folder}: no such folder")
    data = {"sources": sources_digest(trial.root, *_PATTERNS)}
    found = trial.remember("contracts", data, lambda: _settle_all(trial))
    return [ObligationResult.model_validate(one) for one in found["obligations"]]


def _settle_all(trial: Trial) -> dict[str, Any]:
    lab = _ReferenceLab(trial)
    rows = []
    for file in sorted((trial.root / "contracts").glob("*.yaml")):
        loaded = load_contract(file)
        bound = bind(loaded, built_in_checks(file.stem))
        for obligation in loaded.value.proof_obligations:
            result = settle(file.stem, loaded.value, obligation, bound, lab)
            if result.outcome is ObligationOutcome.ERROR or result.saboteur == "crashed":
                # Our own trouble is no figure, and must not be kept for the next run.
                raise HarnessError(f"{obligation.id} cannot be settled: {result.evidence}")
            rows.append(result.model_copy(update={"seconds": 0.0}).model_dump(mode="json"))
    return {"obligations": rows}
