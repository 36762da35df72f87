"""Sources of registered workflows, importable as ``mirror_realm.flows.compiled.<name>_<version>``.

The files lie in the home folder (``settings().compiled_folder``), written by ``realm register`` from the store's
definitions, so that Prefect deployments can name them by module path: a file entrypoint cannot name a flow that was
compiled at run time.
"""

from __future__ import annotations

import re

from ...core.settings import settings

__path__ = [*__path__, str(settings().compiled_folder)]


def module_name(name: str, version: str) -> str:
    """The submodule of one workflow version.

    >>> module_name("nas-photo-processing", "1.0.0")
    'nas_photo_processing_1_0_0'
    """
    stem = re.sub(r"\W", "_", f"{name}_{version}")
    return f"w_{stem}" if stem[0].isdigit() else stem
