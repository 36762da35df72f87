"""From a weights file to a network that may be trusted to be what it says.

A file is found, its digest checked, its tensors read without running any code that the file may hold,
checked to be finite, and recognised by spandrel from their names and shapes. Every failure names the file
and the way out.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...core.errors import FINAL, Code, RealmError
from .compat import require_spandrel, require_torch
from .models import ModelSpec, WeightsSource, model_of

MAX_FILE_BYTES = 8 << 30
"""No network of ours is near this; a larger file is some other thing."""


PIN_SUFFIX = ".sha256"
"""Beside a file that was fetched lies its digest, in the form that ``sha256sum -c`` reads."""

NOT_TORCH = "it does not hold what torch.save writes"


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A weights file on this machine: where it is, and the digest of what was read."""

    path: Path
    sha256: str


def find_weights(
    source: WeightsSource, folder: Path, *, explicit: Path | None = None, model: str | None = None
) -> Path:
    """The file of ``source``: ``explicit`` where given, else in ``folder`` (also as .safetensors).

    DEPENDENCY_FAILURE says which file belongs where, where it is published, and the command that fetches it.
    """
    if explicit is not None:
        if explicit.is_file():
            return explicit
        raise RealmError(
            Code.NOT_FOUND, f"there is no weights file {explicit}", hint="check the path and the mount"
        )
    if (there := weights_in(folder, source)) is not None:
        return there
    raise missing_weights(source, folder, model)


def weights_in(folder: Path, source: WeightsSource) -> Path | None:
    """The file of ``source`` in ``folder``, also as .safetensors; ``None`` where there is none."""
    named = folder / source.file
    return next((file for file in (named, named.with_suffix(".safetensors")) if file.is_file()), None)


def missing_weights(source: WeightsSource, folder: Path, model: str | None = None) -> RealmError:
    """The DEPENDENCY_FAILURE that says how to get a file that is not there."""
    command = f"realm models pull {model or model_of(source) or 'NAME'}"
    by_hand = f"put {source.url or 'it'} at {folder / source.file}"
    return RealmError(
        Code.DEPENDENCY_FAILURE,
        f"the weights {source.file} are not in the models folder {folder}",
        hint=f"`{command}` fetches them; or {by_hand}, or name a file of yours in `weights`"
        if source.url
        else by_hand,
        details={"file": source.file, "folder": str(folder), "url": source.url, FINAL: True},
    )


def pinned_digest(path: Path) -> str | None:
    """The digest that was recorded when ``path`` was fetched; ``None`` for a file that a person put there."""
    try:
        word = path.with_name(path.name + PIN_SUFFIX).read_text(encoding="utf-8").split()[0].lower()
    except (OSError, UnicodeDecodeError, IndexError):
        return None
    return word if re.fullmatch(r"[0-9a-f]{64}", word) else None


def published_digest(source: WeightsSource, path: Path | None) -> str | None:
    """What the bytes of ``path`` must be: the published digest, which is not that of the .safetensors form."""
    converted = (
        Path(source.file).suffix != ".safetensors" and path is not None and path.suffix == ".safetensors"
    )
    return None if path is None or converted else source.sha256


def check_file(path: Path, expected: str | None) -> WeightsFile:
    """The digest of ``path``; DATA_CORRUPTED when it is not ``expected`` (hex sha256; else the one that was recorded
    when the file was fetched) or the file cannot be weights."""
    expected = expected or pinned_digest(path)
    size = path.stat().st_size
    if not 0 < size <= MAX_FILE_BYTES:
        raise RealmError(
            Code.DATA_CORRUPTED, f"{path} holds {size} bytes: not a weights file", hint="fetch it again"
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if expected and digest != expected.lower():
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"{path} has sha256 {digest}, not {expected.lower()}",
            hint="fetch the file again; for weights of your own, name the file in `weights`",
        )
    return WeightsFile(path, digest)


def read_tensors(path: Path) -> dict[str, Any]:
    """The tensors of a .pth, .pt, .ckpt or .safetensors file by name, on the CPU, unwrapped from
    ``params_ema`` and the like. Executes nothing that the file holds. INVALID_ARGUMENT for a file that is
    something else (code included), DATA_CORRUPTED for a broken one or for numbers that are not finite."""
    torch = require_torch()
    loaded = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    if not isinstance(loaded, Mapping):
        raise _not_weights(path, f"it holds a {type(loaded).__name__}")
    tensors = require_spandrel().canonicalize_state_dict(dict(loaded))
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise _not_weights(path, "it holds no plain table of tensors")
    bad = [
        name
        for name, value in tensors.items()
        if value.dtype.is_floating_point and not bool(torch.isfinite(value).all())
    ]
    if bad:
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"{path} holds numbers that are not finite, in {bad[0]}",
            hint="fetch the file again",
        )
    return tensors


def _read_pickle(path: Path) -> Any:
    import pickle

    torch = require_torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _not_weights(path, _refusal(error)) from None
    except (RuntimeError, EOFError, OSError) as error:
        if "TorchScript" in str(error):
            raise _not_weights(path, "it is a TorchScript program") from None
        raise _unreadable(path, error) from None
    except (ValueError, KeyError, IndexError, AttributeError, TypeError, struct.error):
        # torch's reader takes the bytes of any file for its own format and ends in one of these.
        raise _not_weights(path, NOT_TORCH) from None


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def build_network(model: ModelSpec, tensors: dict[str, Any], path: Path) -> Any:
    """spandrel's descriptor of the network that ``tensors`` are of, on the CPU in fp32, ready for inference.

    INVALID_ARGUMENT when it is not of the kind and scale that ``model`` says.
    """
    spandrel = require_spandrel()
    wanted = f"{model.name} ({model.architecture}, ×{model.scale})"
    try:
        descriptor = spandrel.ModelLoader().load_from_state_dict(tensors)
    except spandrel.UnsupportedModelError:
        raise _not_weights(path, f"its tensors are of no known network, so not of {wanted}") from None
    except (RuntimeError, KeyError, ValueError, IndexError, TypeError, AssertionError) as error:
        # spandrel derives a network from the shapes; these are what inconsistent shapes end in.
        raise RealmError(
            Code.DATA_CORRUPTED,
            f"the tensors of {path} do not fit together: {_finding(error)}",
            hint="fetch the file again",
        ) from None
    found = f"{descriptor.architecture.id}, ×{descriptor.scale}"
    if (descriptor.architecture.id, descriptor.scale) != (model.architecture, model.scale):
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{path} holds another network ({found}) than {wanted}",
            hint="name the model that the weights are of, or its weights",
        )
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise _not_weights(path, "its network is not one from RGB to RGB")
    descriptor.model.eval().requires_grad_(False)
    return descriptor


@dataclass(frozen=True, slots=True)
class Built:
    """A network ready for inference, on the CPU in fp32, and what it is in words."""

    module: Any
    scale: int
    description: str


Build = Callable[[ModelSpec, dict[str, Any], Path], Built]
"""Makes a network of a model's tensors, which were read from the path; raises as :func:`build_network`."""


def build_spandrel(model: ModelSpec, tensors: dict[str, Any], path: Path) -> Built:
    """The network as spandrel has it."""
    found = build_network(model, tensors, path)
    return Built(found.model, found.scale, " ".join((found.architecture.id, f"×{found.scale}", *found.tags)))


def mix(first: dict[str, Any], second: dict[str, Any], share: float, path: Path) -> dict[str, Any]:
    """``share`` of ``first`` and the rest of ``second`` (deep network interpolation, Wang et al. 2019): how
    realesr-general-x4v3 controls denoising. DATA_CORRUPTED when the two are not of the same network."""
    if first.keys() != second.keys() or any(first[name].shape != second[name].shape for name in first):
        raise RealmError(
            Code.DATA_CORRUPTED, f"{path} is not the companion of these weights: its tensors differ"
        )
    return {name: first[name] * share + second[name] * (1.0 - share) for name in first}


def _not_weights(path: Path, why: str) -> RealmError:
    return RealmError(
        Code.INVALID_ARGUMENT,
        f"{path} is not a file of plain weights: {why}; nothing in it was run",
        hint="use the weights as published, or a .safetensors file",
    )


def _unreadable(path: Path, error: BaseException) -> RealmError:
    return RealmError(
        Code.DATA_CORRUPTED, f"{path} cannot be read: {_finding(error)}", hint="fetch the file again"
    )


def _refusal(error: BaseException) -> str:
    # torch's own message is mostly advice on how to switch its protection off; only what it met is of use.
    found = re.search(r"GLOBAL (\S+)", str(error))
    return f"it asks to run {found[1]}" if found else NOT_TORCH


def _finding(error: BaseException) -> str:
    # The first sentence; what follows it in torch's messages is advice.
    text = str(error).strip() or type(error).__name__
    return " ".join(text.split(". ")[0].split())[:300]
