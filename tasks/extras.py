"""Libraries that an extra of the package brings: used where they are, named where they are not."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ..core.errors import FINAL, Code, RealmError


def require(module: str, *, extra: str = "media") -> ModuleType:
    """The module, imported; DEPENDENCY_FAILURE with the install command when its package is not there.

    >>> require("json").loads("[1]")
    [1]
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or module).partition(".")[0]
        install = f"pip install 'mirror-realm[{extra}]'"
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            f"this needs the Python package {package!r}, which is not installed on this worker",
            hint=f"install it with: {install}",
            details={"package": package, "install": install, FINAL: True},
        ) from None
