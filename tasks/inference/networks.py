"""Networks ready to run, kept per process: loading one costs seconds, running it again should cost
nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import Code, RealmError
from .compat import require_torch
from .kept_models import KeptModels, module_bytes
from .models import ModelSpec
from .weights import Build, build_spandrel, check_file, find_weights, mix, read_tensors

LOWER_TO_HIGHER = {"fp16": "bf16", "bf16": "fp32"}
"""What to run again in when a precision gives numbers that are not finite: bf16 has the range of fp32."""

BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(eq=False)
class Network:
    """A network on a device, in one precision. ``identity`` names its weights; ``ceiling`` is the number of
    input pixels that a pass must stay below, learned from passes that ran out of memory."""

    identity: str
    description: str
    module: Any
    scale: int
    device: str
    precision: str
    denoise: float | None = None
    ceiling: int | None = None

    def refuse(self, pixels: int) -> None:
        """Remember that a pass over ``pixels`` input pixels did not fit."""
        self.ceiling = pixels if self.ceiling is None else min(self.ceiling, pixels)

    def fits(self, pixels: int) -> bool:
        """Whether a pass over ``pixels`` input pixels is worth trying."""
        return self.ceiling is None or pixels < self.ceiling


@dataclass(frozen=True, slots=True)
class NetworkSource:
    """Which network: a known model, its weights (``weights`` over the models folder), the share of a
    model's own weights where it mixes in a companion, what makes a network of the tensors, and whether torch is to
    compile it."""

    model: ModelSpec
    folder: Path
    weights: Path | None = None
    sha256: str | None = None
    denoise: float | None = None
    build: Build = build_spandrel
    compiled: bool = False


networks: KeptModels[Network] = KeptModels(lambda network: module_bytes(network.module))
"""The process's networks, by weights, device and precision."""


def network(source: NetworkSource, device: str, precision: str) -> Network:
    """The network of ``source`` on ``device`` in ``precision``, from the process's cache where it is there.

    Raises as :mod:`.weights` does; FAILED_PRECONDITION when this machine has no such device.
    """
    check_device(device)
    model = source.model
    # A digest that the registry knows is of the published file; someone's own file has the digest they state.
    expected = source.sha256 or (None if source.weights else model.weights.sha256)
    path = find_weights(model.weights, source.folder, explicit=source.weights)
    file = check_file(path, expected if path.name == model.weights.file or source.sha256 else None)
    share = source.denoise if model.controls_denoise else None
    key = (str(file.path), file.sha256, model.name, share, device, precision, source.build, source.compiled)

    def load() -> Network:
        if model.build is not None:
            return Network(
                identity=f"{model.name}@{file.sha256[:12]}",
                description=f"{model.title} ×{model.scale}",
                module=_placed(_built_by(model, path), device, precision, source.compiled),
                scale=model.scale,
                device=device,
                precision=precision,
            )
        tensors = read_tensors(path)
        if share is not None and share < 1.0 and model.weak_denoise is not None:
            companion = find_weights(model.weak_denoise, path.parent if source.weights else source.folder)
            if companion.name == model.weak_denoise.file and source.weights is None:
                check_file(companion, model.weak_denoise.sha256)
            tensors = mix(tensors, read_tensors(companion), share, companion)
        built = source.build(model, tensors, path)
        return Network(
            identity=f"{model.name}@{file.sha256[:12]}",
            description=built.description,
            module=_placed(built.module, device, precision, source.compiled),
            scale=built.scale,
            device=device,
            precision=precision,
            denoise=share,
        )

    # Weights are published in fp32.
    return networks.get(key, load, device, path.stat().st_size * BYTES[precision] // BYTES["fp32"])


def _built_by(model: ModelSpec, path: Path) -> Any:
    """What a model of a person's own makes of its weights. FAILED_PRECONDITION when that fails, with its words."""
    torch = require_torch()
    assert model.build is not None
    try:
        module = model.build(path)
    except RealmError:
        raise
    except Exception as error:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"{model.name} could not be built from {path.name}: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]}",
            hint=f"see `build` of the model {model.name}",
        ) from error
    if not isinstance(module, torch.nn.Module):
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"`build` of {model.name} gave a {type(module).__name__}, not a torch.nn.Module",
            hint="wrap what is called in a module whose forward calls it",
        )
    return module.eval().requires_grad_(False)


def check_device(device: str) -> None:
    """FAILED_PRECONDITION unless this process can run networks on ``device`` (``cpu`` or ``cuda:N``)."""
    torch = require_torch()
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return
    count = torch.cuda.device_count() if kind == "cuda" and torch.cuda.is_available() else 0
    if not (index or "0").isdigit() or int(index or "0") >= count:
        raise RealmError(
            Code.FAILED_PRECONDITION,
            f"this worker was given {device}, but torch {torch.__version__} sees {count} CUDA devices",
            hint="check the driver and that torch is a CUDA build, or run the node without a GPU",
        )


def choose_precision(wanted: str, device: str, model: ModelSpec) -> str:
    """The precision to begin with: fp32 on a CPU; on a GPU fp16, whose finer steps show less than bf16's."""
    if wanted == "auto":
        wanted = "fp32" if device == "cpu" else "fp16"
    if wanted not in model.dtypes:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{model.name} does not run in {wanted}",
            hint=f"use {', '.join(model.dtypes)}",
        )
    return wanted


def torch_dtype(precision: str) -> Any:
    """The torch dtype of ``fp32``, ``bf16`` or ``fp16``."""
    torch = require_torch()
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _placed(module: Any, device: str, precision: str, compiled: bool) -> Any:
    torch = require_torch()
    placed = module.to(device=device, dtype=torch_dtype(precision), memory_format=torch.channels_last)
    if not compiled:
        return placed
    from .compiled import Compiled

    return Compiled(placed)
