"""Makes ``import torchvision`` work beside a CPU build of torch. Call :func:`ensure_torchvision` before
anything that imports torchvision (spandrel, facexlib, open_clip), in every process.

The torchvision wheel of the package index is built against the CUDA build of torch; its compiled operators
do not load beside ``torch+cpu``, and then ``import torchvision`` fails with ``operator torchvision::nms
does not exist``, although nothing we use needs compiled operators. A native import is tried first, so an
installation that works stays untouched.

This module can go when ``pip install torch torchvision`` of one index gives two builds that fit each other
on machines without a GPU; ``tests/tasks/test_inference_compat.py`` tells when that is so (``native`` is
then true).

:func:`require_upstream` does the like for basicsr, under realesrgan and gfpgan: it imports a module that torchvision
0.17 removed. That part can go when basicsr takes ``rgb_to_grayscale`` from ``torchvision.transforms.functional``.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

from ...core.errors import FINAL, Code, RealmError

INSTALL = "pip install 'mirror-realm[ai]'"
"""What to run where the extra with torch is missing."""

INSTALL_RESTORE = "pip install 'mirror-realm[restore]'"
"""What to run where Real-ESRGAN's and GFPGAN's own packages are missing."""

UPSTREAM = ("basicsr", "realesrgan", "gfpgan")
_REMOVED = "torchvision.transforms.functional_tensor"

_NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_lock = threading.Lock()
_native: bool | None = None
_library: Any = None  # Operators live as long as their Library object does.


def require_installed() -> None:
    """DEPENDENCY_FAILURE with the install command unless everything that the networks need is installed. Imports
    nothing, which would take seconds."""
    for name in ("torch", "torchvision", "spandrel"):
        if importlib.util.find_spec(name) is None:
            raise RealmError(
                Code.DEPENDENCY_FAILURE,
                f"the networks need {name}, which is not installed",
                hint=f"install it with: {INSTALL}",
                details={"package": name, "install": INSTALL, FINAL: True},
            )


def require_torch() -> ModuleType:
    """The ``torch`` module; raises as :func:`require_installed` where it was never imported. Costs nothing after that:
    it is asked for in every pass."""
    if (torch := sys.modules.get("torch")) is not None:
        return torch
    require_installed()
    return importlib.import_module("torch")


def require_spandrel() -> ModuleType:
    """The ``spandrel`` module, importable beside any build of torch; raises as :func:`require_installed`."""
    require_installed()
    ensure_torchvision()
    return importlib.import_module("spandrel")


def require_upstream_installed() -> None:
    """DEPENDENCY_FAILURE with the install command unless Real-ESRGAN's own packages, and what they need, are there."""
    require_installed()
    for name in UPSTREAM:
        if importlib.util.find_spec(name) is None:
            raise RealmError(
                Code.DEPENDENCY_FAILURE,
                f"backend realesrgan needs {name}, which is not installed",
                hint=f"install it with: {INSTALL_RESTORE}, or leave backend: auto",
                details={"package": name, "install": INSTALL_RESTORE, FINAL: True},
            )


def require_upstream(module: str) -> ModuleType:
    """A module of realesrgan, gfpgan or basicsr, importable beside any torchvision; raises as
    :func:`require_upstream_installed`."""
    require_upstream_installed()
    ensure_torchvision()
    with _lock:
        if _REMOVED not in sys.modules and importlib.util.find_spec(_REMOVED) is None:
            stand_in = ModuleType(_REMOVED)
            functional = importlib.import_module("torchvision.transforms.functional")
            vars(stand_in)["rgb_to_grayscale"] = functional.rgb_to_grayscale
            sys.modules[_REMOVED] = stand_in
    return importlib.import_module(module)


def ensure_torchvision() -> bool:
    """Make ``import torchvision`` work in this process; idempotent. Returns whether it worked natively."""
    global _native
    with _lock:
        if _native is None:
            _native = _import_natively()
            if not _native:
                _import_without_operators()
        return _native


def _import_natively() -> bool:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        return False
    return True


def _import_without_operators() -> None:
    """Import torchvision with the two operators it registers things for at import, and only those."""
    global _library
    import torch

    # The failed import leaves half-initialised submodules behind.
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    _library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        _library.define(operator + _NMS)
    _library.impl("nms", _nms, "CPU")
    importlib.import_module("torchvision")
    # It guards nms by asking for the compiled library; ours is defined, so the guard would be wrong.
    boxes = importlib.import_module("torchvision.ops.boxes")
    boxes._assert_has_ops = lambda: None  # pyright: ignore[reportAttributeAccessIssue]


def _nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """Greedy non-maximum suppression: indices of the boxes (x1, y1, x2, y2) kept, best score first."""
    import torch

    order = scores.argsort(descending=True, stable=True)
    areas = (dets[:, 2] - dets[:, 0]) * (dets[:, 3] - dets[:, 1])
    keep = []
    while order.numel():
        best, rest = order[0], order[1:]
        keep.append(best)
        top_left = torch.maximum(dets[best, :2], dets[rest, :2])
        bottom_right = torch.minimum(dets[best, 2:], dets[rest, 2:])
        shared = (bottom_right - top_left).clamp(min=0).prod(dim=1)
        order = rest[shared / (areas[best] + areas[rest] - shared) <= iou_threshold]
    return torch.stack(keep) if keep else order
