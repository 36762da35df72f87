"""Networks whose architecture facexlib has. Its own loaders fetch weights and unpickle whatever came; here a network is
built and filled with tensors that were read safely."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from ...core.errors import FINAL, Code, RealmError
from .catalogue import KnownModel
from .compat import INSTALL, ensure_torchvision
from .networks import check_device
from .weights import check_file, published_digest, read_tensors


def is_installed() -> bool:
    """Whether facexlib is here; imports nothing."""
    return importlib.util.find_spec("facexlib") is not None


def require_facexlib(model: KnownModel, instead: str = "") -> None:
    """DEPENDENCY_FAILURE with the install command, and what to do ``instead``, unless facexlib is installed."""
    if not is_installed():
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            f"{model.name} needs facexlib, which is not installed",
            hint=f"install it with: {INSTALL}{instead}",
            details={"package": "facexlib", "install": INSTALL, FINAL: True},
        )


def load_network(
    model: KnownModel, weights: Path, device: str, module: str, make: Callable[[ModuleType], Any]
) -> Any:
    """The network that ``make`` builds of facexlib's ``module``, filled with ``weights``, on ``device`` in fp32, ready
    for inference.

    DEPENDENCY_FAILURE as :func:`require_facexlib`; DATA_CORRUPTED or INVALID_ARGUMENT for wrong weights.
    """
    check_device(device)
    check_file(weights, published_digest(model.weights, weights))
    tensors = read_tensors(weights)
    ensure_torchvision()
    with warnings.catch_warnings():
        # Its way of asking torchvision for a backbone without weights is an old one.
        warnings.simplefilter("ignore")
        network = make(importlib.import_module(module))
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise RealmError(
            Code.INVALID_ARGUMENT,
            f"{weights} does not hold {model.name}: {' '.join(str(error).split())[:300]}",
            hint=f"`realm models pull {model.name}` fetches the right weights",
        ) from None
    return network.eval().requires_grad_(False).to(device)
