"""Stages that train: finetune, distill, align."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from apr_leaderboard.model.stage.base import Params, refuse_misplaced

__all__ = ["AlignParams", "DistillParams", "FinetuneParams"]


class _TrainingParams(Params):
    """What every training takes."""

    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-4
    epochs: Annotated[int, Field(ge=1, le=1000)] = 3
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 8
    max_seq_len: Annotated[int, Field(ge=8, le=131072)] = 512
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class _AdapterParams(_TrainingParams):
    """What training through a low-rank adapter takes besides; and what engines with a GPU want to be told."""

    dataset: str = Field(description="a dataset named in the catalogue, `prepared`, or a path to JSONL")
    rank: Annotated[int, Field(ge=1, le=1024)] = 16
    alpha: Annotated[float, Field(gt=0)] | None = Field(default=None, description="LoRA scale; 2 x rank when not given")
    task: Literal["instruct", "classify"] | None = Field(default=None, description="for engines that tell them apart")
    model_size: str | None = Field(default=None, description="such as 7B, for engines that want to be told")
    quantize_nf4: bool = Field(default=False, description="for engines that take NF4 apart from the method")
    vram: Annotated[float, Field(gt=0)] | None = Field(default=None, description="GB the engine may plan with")
    wait_gpu: Annotated[int, Field(ge=0)] | None = Field(default=None, description="seconds to wait for a free GPU")

    @property
    def scale(self) -> float:
        """alpha / rank (Hu et al. 2021, section 4.1)."""
        return (self.alpha if self.alpha is not None else 2.0 * self.rank) / self.rank


class FinetuneParams(_AdapterParams):
    """Train on instruction/response pairs; the merged model is what the stage hands on.

    lora: a low-rank adapter beside frozen weights; qlora: the same with the frozen weights in NF4; full: every weight.
    """

    method: Literal["lora", "qlora", "full"] = "lora"
    response_only: bool = Field(default=True, description="only tokens of the response count in the loss")

    @model_validator(mode="after")
    def _each_parameter_means_something(self) -> FinetuneParams:
        adapters = ("lora", "qlora")
        refuse_misplaced(self, self.method, {"rank": adapters, "alpha": adapters})
        return self


class AlignParams(_AdapterParams):
    """Train on preferences (prompt, chosen, rejected) through a low-rank adapter."""

    method: Literal["dpo", "orpo"]
    beta: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.1, description="dpo: strength of the pull to the reference model; orpo: weight of the odds ratio term"
    )


class DistillParams(_TrainingParams):
    """Teach the model at hand what a larger one knows.

    standard: temperature and alpha as given throughout; progressive: the teacher's share and temperature fall as
    training goes on; ensemble: the mean of several teachers. mode logits needs the same vocabulary; text has the
    teacher answer the dataset's instructions and trains on its answers.
    """

    strategy: Literal["standard", "progressive", "ensemble"] = "standard"
    mode: Literal["logits", "text"] = "logits"
    teacher: str = Field(description="a model named in the catalogue, a path, or hf://...")
    more_teachers: tuple[str, ...] = Field(default=(), max_length=8, description="ensemble: the others")
    dataset: str = Field(description="instruction/response pairs: in the catalogue, `prepared`, or a path to JSONL")
    temperature: Annotated[float, Field(gt=0, le=100)] = Field(default=2.0, description="logits: softens both")
    alpha: Annotated[float, Field(ge=0, le=1)] = Field(default=0.5, description="logits: share of the teacher's term")
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(default=None, description="text: longest answer; 256")

    @model_validator(mode="after")
    def _each_parameter_means_something(self) -> DistillParams:
        refuse_misplaced(self, self.mode, {"temperature": ("logits",), "alpha": ("logits",), "max_tokens": ("text",)})
        if self.strategy == "progressive" and self.mode == "text":
            raise ValueError("progressive goes with logits, not text: it lets temperature and alpha fall")
        if (self.strategy == "ensemble") != bool(self.more_teachers):
            raise ValueError("more_teachers goes with ensemble, which needs at least one; the first is teacher")
        return self
