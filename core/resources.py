"""What a node needs to run, and its form as Dask resources."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

GPU_SHARE = 0.25
"""Of nodes that hold a GPU only while they compute: enough of them at once to keep it busy."""


class Gpu(StrEnum):
    """How much a node wants a GPU. ``preferred`` runs on a CPU worker where the cluster has no GPU, and says so."""

    NONE = "none"
    PREFERRED = "preferred"
    REQUIRED = "required"


class Resources(BaseModel):
    """The resources of one node attempt. Memory in MiB, CPU in thousandths of a core."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpu_millis: int = Field(default=1000, ge=0, description="CPU in thousandths of a core")
    memory_mb: int = Field(default=512, ge=0, description="Memory in MiB")
    gpu: Gpu = Field(default=Gpu.NONE, description="Whether the node wants a GPU")
    gpu_count: int = Field(default=1, ge=1, description="How many GPUs, where it gets any")
    gpu_share: float = Field(
        default=1.0,
        gt=0.0,
        le=1.0,
        description="Share of its one GPU: nodes that ask for less than 1 run beside each other there, and take turns "
        "to compute while the others load and store; 1 has it alone",
    )
    gpu_memory_mb: int = Field(
        default=0, ge=0, description="GPU memory in MiB; 0 asks for none in particular"
    )
    accelerator: str | None = Field(default=None, description="A GPU model, as the cluster tags it")
    custom: Mapping[str, float] = Field(
        default_factory=dict, description="Any other resource the cluster declares"
    )

    def dask(self, *, gpu: bool) -> dict[str, float]:
        """The Dask resource request, with the GPU's part only if ``gpu``.

        ``CPU_MILLIS`` and ``MEMORY_MB`` count only where the cluster declares them; the caller drops them where not.
        """
        request: dict[str, float] = {}
        if self.cpu_millis:
            request["CPU_MILLIS"] = float(self.cpu_millis)
        if self.memory_mb:
            request["MEMORY_MB"] = float(self.memory_mb)
        if gpu and self.gpu is not Gpu.NONE:
            gpus = self.gpu_share if self.gpu_count == 1 else float(self.gpu_count)
            request["GPU"] = gpus
            if self.gpu_memory_mb:
                request["VRAM_MB"] = float(self.gpu_memory_mb)
            if self.accelerator:
                request[f"ACCELERATOR:{self.accelerator}"] = gpus
        return request | {name: float(amount) for name, amount in self.custom.items()}
