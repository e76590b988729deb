"""Every stage by name."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["StageName"]


class StageName(StrEnum):
    """Every stage a recipe may name."""

    IMPORT = "import"
    PREP_DATA = "prep-data"
    DISTILL = "distill"
    FINETUNE = "finetune"
    ALIGN = "align"
    MERGE = "merge"
    PRUNE = "prune"
    QUANTIZE = "quantize"
    COMPILE = "compile"
    EXPORT = "export"
    EVAL = "eval"
    SUBMIT = "submit"

    @property
    def key(self) -> str:
        """As a Python name: `prep_data`."""
        return self.value.replace("-", "_")
