"""The acceptance criteria and the defects known of engines, as the files in `acceptance/` state them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from apr_leaderboard.model.yamlfile import Loaded, load_model

__all__ = [
    "CRITERION_ID",
    "CriteriaFile",
    "Criterion",
    "Defect",
    "DefectsFile",
    "Refusal",
    "Scope",
    "Shown",
    "criterion_mark",
    "load_criteria",
    "load_defects",
]

CRITERION_ID = r"^AC-\d{3}$"

_Text = Annotated[str, Field(min_length=1, max_length=2000)]
_Id = Annotated[str, Field(pattern=CRITERION_ID)]

Scope = Literal["required", "if-possible", "no"]
"""Whether a profile's gate wants a criterion: `required`; `if-possible`, where the hardware or the engine allows; `no`,
where the profile's model cannot decide it."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Criterion(_Frozen):
    """One claim of the mission, and what decides it."""

    id: _Id
    claim: _Text
    part: Literal["models", "training", "weights", "programs", "data", "decoding", "parity", "scores", "suite"]
    bound: _Text = Field(description="what is measured, and what it must be")
    smoke: Scope
    real: Scope
    note: _Text | None = Field(default=None, description="why a profile does not want it, or only where it can be had")
    models: dict[Literal["smoke", "real"], tuple[_Text, ...]] = Field(
        default_factory=dict, description="the models that decide it, where they are not the profile's own"
    )

    def scope(self, profile: str) -> Scope:
        """Whether the gate of that profile wants it."""
        return self.smoke if profile == "smoke" else self.real


class CriteriaFile(_Frozen):
    """`acceptance/criteria.yaml`."""

    schema_: Literal[1] = Field(alias="schema")
    criteria: tuple[Criterion, ...] = Field(min_length=1)

    def named(self, id_: str) -> Criterion | None:
        """The criterion of that id, or None."""
        return next((one for one in self.criteria if one.id == id_), None)


class Shown(_Frozen):
    """How a defect's command ends while the defect is there."""

    exit_code: Annotated[int, Field(ge=0, le=255)] = 0
    output: _Text = Field(description="a regular expression found in stdout and stderr together")


class Defect(_Frozen):
    """Something an engine does that it should not. `command` is for sh, in an empty folder, with `tiny_model.py` in it.

    Only the engine and python3 without packages are needed to run it, and the programs that it `needs`.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    engine: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    versions: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    criteria: tuple[_Id, ...] = Field(description="the criteria that cannot hold while it is there")
    parts: tuple[_Text, ...] = Field(default=(), description="only these tests of the criteria; empty: all")
    needs: tuple[_Text, ...] = Field(default=(), description="programs on PATH that the command starts beside these")
    command: Annotated[str, Field(min_length=1, max_length=6000)]
    expected: _Text
    got: _Text
    shown: Shown
    found: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    seconds: Annotated[float, Field(gt=0, le=900)] = 60


class Refusal(_Frozen):
    """What an engine refuses. A test that no longer meets the refusal fails: the entry must go."""

    criterion: _Id
    engine: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    parts: tuple[_Text, ...] = Field(default=(), description="only these tests of the criterion; empty: all")
    words: _Text = Field(description="a regular expression found in the engine's own words")


class DefectsFile(_Frozen):
    """`acceptance/known_defects.yaml`."""

    schema_: Literal[1] = Field(alias="schema")
    defects: tuple[Defect, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    def refusal(self, criterion: str, part: str, engine: str) -> Refusal | None:
        """The refusal a test of a criterion is known to meet, or None."""
        return next(
            (
                one
                for one in self.refusals
                if (one.criterion, one.engine) == (criterion, engine) and (not one.parts or part in one.parts)
            ),
            None,
        )

    def behind(self, criterion: str, part: str, engine: str, version: str) -> tuple[Defect, ...]:
        """The defects that explain why a test of a criterion does not pass on that version of an engine."""
        return tuple(
            one
            for one in self.defects
            if criterion in one.criteria
            and (not one.parts or part in one.parts)
            and one.engine == engine
            and version in one.versions
        )


def criterion_mark(id_: str) -> str:
    """`AC-008` -> `ac_008`."""
    return id_.lower().replace("-", "_")


def load_criteria(file: Path) -> Loaded[CriteriaFile]:
    """Parse the criteria. Raises `FileFormatError`, also for an id that comes twice."""
    loaded = load_model(file, CriteriaFile)
    _once(loaded, "criteria", [one.id for one in loaded.value.criteria])
    return loaded


def load_defects(file: Path) -> Loaded[DefectsFile]:
    """Parse the known defects. Raises `FileFormatError`, also for an id that comes twice."""
    loaded = load_model(file, DefectsFile)
    _once(loaded, "defects", [one.id for one in loaded.value.defects])
    return loaded


def _once(loaded: Loaded[CriteriaFile] | Loaded[DefectsFile], key: str, ids: list[str]) -> None:
    for index, name in enumerate(ids):
        if name in ids[:index]:
            raise loaded.error((key, index, "id"), f"{name!r} comes again", allowed="each id once")
