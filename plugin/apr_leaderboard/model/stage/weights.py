"""Stages that work on weights alone: merge, prune, quantize."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from apr_leaderboard.model.stage.base import Params, refuse_misplaced

__all__ = ["MergeParams", "PruneParams", "QuantizeParams"]


class MergeParams(Params):
    """Join the model at hand with others of the same shape.

    The inputs are the model at hand and then `models` in order; with no `models`, the second input is the model as
    imported. `base_model` is what task vectors are taken from (ties, dare): None stands for the model as imported.
    An input that is the base itself takes no part in ties and dare: its task vector is zero.
    """

    strategy: Literal["linear", "slerp", "ties", "dare"] = "slerp"
    models: tuple[str, ...] = Field(default=(), max_length=16, description="names in the catalogue, paths, or hf://...")
    base_model: str | None = Field(default=None, description="ties, dare: where task vectors start; None: the import")
    weights: tuple[Annotated[float, Field(ge=-10, le=10)], ...] | None = Field(
        default=None, description="one weight for each input, the model at hand first; all 1 when not given"
    )
    t: Annotated[float, Field(ge=0, le=1)] | None = Field(default=None, description="slerp: 0 first, 1 second; 0.5")
    density: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None, description="ties: share of each task vector that is kept; 0.2 (Yadav et al. 2023)"
    )
    drop_rate: Annotated[float, Field(ge=0, lt=1)] | None = Field(
        default=None, description="dare: chance of an entry of a task vector to be dropped; 0.9 (Yu et al. 2023)"
    )
    lambda_: Annotated[float, Field(gt=0, le=10)] = Field(
        default=1.0, alias="lambda", description="ties, dare: scale of the merged task vector"
    )
    elect_signs: bool = Field(default=False, description="dare: elect signs as ties does (dare-ties)")
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0

    @property
    def n_inputs(self) -> int:
        """How many models are joined, the one at hand included, the base not."""
        return 1 + max(1, len(self.models))

    @model_validator(mode="after")
    def _each_parameter_means_something(self) -> MergeParams:
        owners = {
            "t": ("slerp",),
            "density": ("ties",),
            "drop_rate": ("dare",),
            "elect_signs": ("dare",),
            "seed": ("dare",),
            "base_model": ("ties", "dare"),
            "lambda_": ("ties", "dare"),
            "weights": ("linear", "ties", "dare"),
        }
        refuse_misplaced(self, self.strategy, owners)
        if self.strategy == "slerp" and self.n_inputs != 2:
            raise ValueError(f"slerp joins two models, got {self.n_inputs}; allowed: at most one in models")
        if self.weights is not None and len(self.weights) != self.n_inputs:
            raise ValueError(f"got {len(self.weights)} weights for {self.n_inputs} inputs; allowed: one for each")
        if self.weights is not None and abs(sum(self.weights)) < 1e-6:
            raise ValueError("got weights that add up to 0; allowed: weights with a sum to divide by")
        return self


class PruneParams(Params):
    """Take weights out.

    magnitude, wanda and sparsegpt set a share of each matrix of the decoder layers to zero; structured removes
    neurons of the feed-forward layers or groups of attention heads; depth removes whole layers.
    """

    method: Literal["magnitude", "wanda", "sparsegpt", "structured", "depth"] = "magnitude"
    target_ratio: Annotated[float, Field(gt=0, le=0.95)] = Field(default=0.5, description="share to take out")
    calibration: str | None = Field(
        default=None,
        description="a dataset in the catalogue, or a path to text or JSONL; None: what the engine has for it",
    )
    calibration_tokens: Annotated[int, Field(ge=16, le=1_048_576)] = 8192
    calibration_window: Annotated[int, Field(ge=16, le=8192)] = 256
    parts: Literal["ffn", "heads", "both"] = Field(default="ffn", description="structured: what is removed")
    block_size: Annotated[int, Field(ge=1, le=4096)] = Field(default=128, description="sparsegpt: columns at a time")
    damping: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.01, description="sparsegpt: share of the Hessian's mean diagonal that is added to it"
    )

    @model_validator(mode="after")
    def _each_parameter_means_something(self) -> PruneParams:
        owners = {
            "calibration": ("wanda", "sparsegpt", "structured", "depth"),
            "calibration_tokens": ("wanda", "sparsegpt", "structured", "depth"),
            "calibration_window": ("wanda", "sparsegpt", "structured", "depth"),
            "parts": ("structured",),
            "block_size": ("sparsegpt",),
            "damping": ("sparsegpt",),
        }
        refuse_misplaced(self, self.method, owners)
        if self.calibration_window > self.calibration_tokens:
            raise ValueError(
                f"got a calibration_window of {self.calibration_window} for {self.calibration_tokens} tokens in all"
                "; allowed: a window no longer than calibration_tokens"
            )
        return self


class QuantizeParams(Params):
    """Store the weights in fewer bits: fp16 halves; the others are block formats of GGUF."""

    scheme: Literal["int8", "int4", "q4k", "q5k", "q6k", "fp16"] = Field(
        default="q4k", description="int8: Q8_0; int4: Q4_0; q4k, q5k: the mixtures Q4_K_M, Q5_K_M; q6k: Q6_K"
    )
