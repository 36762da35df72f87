"""Imports the inference core where Mirror Realm is not installed: a GPU machine with numpy, torch and
spandrel."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent


def inference_core() -> None:
    """Make ``mirror_realm.tasks.inference`` importable from this checkout, without running the packages
    around it.

    Those import what the whole product needs. Call it before anything of ``mirror_realm`` is imported.
    """
    for name, folder in (("mirror_realm", ROOT), ("mirror_realm.tasks", ROOT / "tasks")):
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
