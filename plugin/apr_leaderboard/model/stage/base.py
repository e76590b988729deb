"""What all stages' parameters share."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

__all__ = ["Params", "refuse_misplaced"]


class Params(BaseModel):
    """Frozen; a key nobody knows is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def refuse_misplaced(params: Params, kind: str, owners: Mapping[str, tuple[str, ...]]) -> None:
    """Raise `ValueError` for a parameter that is written but means nothing for `kind`; see `owners`."""
    for name, kinds in owners.items():
        if name in params.model_fields_set and getattr(params, name) is not None and kind not in kinds:
            raise ValueError(f"{name.rstrip('_')} goes with {' or '.join(kinds)}, not {kind}")
