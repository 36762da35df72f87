"""The NVIDIA GPUs of this machine, as nvidia-smi reports them; neither torch nor CUDA is loaded for that."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

TIMEOUT = 20.0
"""Seconds for nvidia-smi, which is slow while the driver's persistence mode is off."""


@dataclass(frozen=True, slots=True)
class GpuDevice:
    """One GPU: how ``CUDA_VISIBLE_DEVICES`` names it, its model, and its memory in MiB."""

    device: str
    uuid: str
    model: str
    memory_mb: int

    @property
    def accelerators(self) -> tuple[str, ...]:
        """The spellings of ``accelerator`` in a definition that mean this model.

        >>> GpuDevice("0", "GPU-1", "NVIDIA H100 80GB HBM3", 81559).accelerators
        ('nvidia-h100', 'nvidia-h100-80gb', 'nvidia-h100-80gb-hbm3')
        """
        words = [word for word in re.split(r"[^a-z0-9]+", self.model.lower()) if word]
        if words[:1] != ["nvidia"]:
            words = ["nvidia", *words]
        return tuple("-".join(words[:count]) for count in range(2, len(words) + 1))


def find_gpus(environment: Mapping[str, str] | None = None) -> tuple[GpuDevice, ...]:
    """The GPUs that ``CUDA_VISIBLE_DEVICES`` lets this process see; empty where there is no working nvidia-smi."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    query = [program, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=TIMEOUT, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ()
    visible = (os.environ if environment is None else environment).get("CUDA_VISIBLE_DEVICES")
    return select_visible(parse_gpus(answer.stdout), visible)


def parse_gpus(text: str) -> tuple[GpuDevice, ...]:
    """The GPUs in nvidia-smi's answer; lines that are not one (``No devices were found``) are passed over."""
    found: list[GpuDevice] = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) == 4 and parts[0].isdigit():
            memory = int(parts[3]) if parts[3].isdigit() else 0  # "[N/A]" where the memory is the machine's
            found.append(GpuDevice(parts[0], parts[1], parts[2], memory))
    return tuple(found)


def select_visible(gpus: tuple[GpuDevice, ...], visible: str | None) -> tuple[GpuDevice, ...]:
    """Those of ``gpus`` that a value of ``CUDA_VISIBLE_DEVICES`` names, in its order; CUDA stops at the first
    name it does not know, and so does this. Names are indices or (beginnings of) UUIDs."""
    if visible is None:
        return gpus
    chosen: list[GpuDevice] = []
    for name in (part.strip() for part in visible.split(",")):
        match = next(
            (
                gpu
                for gpu in gpus
                if name == gpu.device or (name.startswith("GPU-") and gpu.uuid.startswith(name))
            ),
            None,
        )
        if match is None:
            break
        chosen.append(match)
    return tuple(chosen)
