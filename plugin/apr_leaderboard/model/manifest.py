"""A forjar manifest: the machines a real run needs, and what must be on them. Read to be checked; forjar applies it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from apr_leaderboard.model.yamlfile import load_model

__all__ = ["Manifest", "load_manifest"]

_Words = Annotated[tuple[str, ...], Field(min_length=1)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Frozen):
    """A machine forjar reaches."""

    hostname: str
    addr: str
    user: str
    arch: Literal["x86_64", "aarch64"]
    roles: _Words


class _Resource(_Frozen):
    machine: str
    depends_on: tuple[str, ...] = ()


class Gpu(_Resource):
    """A GPU that must be there."""

    type: Literal["gpu"]
    gpu_backend: Literal["cuda", "wgpu", "rocm"]
    vram_gb: Annotated[int, Field(gt=0)]


class Package(_Resource):
    """Packages of one provider."""

    type: Literal["package"]
    provider: Literal["apt", "cargo", "uv"]
    state: Literal["present", "absent"] = "present"
    packages: _Words
    version: str | None = None


class File(_Resource):
    """A file or folder."""

    type: Literal["file"]
    state: Literal["file", "directory", "absent"]
    path: str
    mode: Annotated[str, Field(pattern=r"^0[0-7]{3}$")] = "0755"


class Model(_Resource):
    """A model's weights."""

    type: Literal["model"]
    name: str
    source: str
    format: Literal["safetensors", "gguf", "apr"]
    state: Literal["present", "absent"] = "present"
    checksum: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    cache_dir: str


class Task(_Resource):
    """A command that leaves files."""

    type: Literal["task"]
    command: Annotated[str, Field(min_length=1)]
    output_artifacts: _Words


class Manifest(_Frozen):
    """The whole file."""

    version: Literal["1.0"]
    name: str
    description: str
    params: dict[str, str] = Field(default_factory=dict)
    machines: dict[str, Machine]
    resources: dict[str, Annotated[Gpu | Package | File | Model | Task, Field(discriminator="type")]]
    policy: dict[str, str | int | bool]

    @model_validator(mode="after")
    def _hangs_together(self) -> Self:
        seen: list[str] = []
        for name, resource in self.resources.items():
            if resource.machine not in self.machines:
                raise ValueError(f"{name} is on {resource.machine!r}; allowed: {', '.join(self.machines)}")
            for before in resource.depends_on:
                if before not in seen:
                    raise ValueError(f"{name} depends on {before!r}; allowed: a resource above it")
            seen.append(name)
        return self


def load_manifest(file: Path) -> Manifest:
    """A manifest as written. Raises `FileFormatError`."""
    return load_model(file, Manifest).value
