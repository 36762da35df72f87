"""Whose state a command works on: a project's own ``.realm`` folder, else the person's home."""

from __future__ import annotations

import os
from pathlib import Path

HOME = ".realm"
"""The folder of a project that holds its state, its journal and its settings."""

VARIABLE = "MIRROR_REALM_HOME"


def project_home(start: Path) -> Path | None:
    """The nearest ``.realm`` folder of ``start`` and the folders above it."""
    for folder in (start, *start.parents):
        if (folder / HOME).is_dir():
            return folder / HOME
    return None


def settle() -> None:
    """Let this process and those it starts use the project's home, unless the variable already names one.

    The variable rather than an argument: Dask workers and a Prefect server are processes of their own.
    """
    if os.environ.get(VARIABLE):
        return
    try:
        found = project_home(Path.cwd())
    except FileNotFoundError:  # the working directory was removed under us
        return
    if found is not None:
        os.environ[VARIABLE] = str(found)
