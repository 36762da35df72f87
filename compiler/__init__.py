"""The compiler: document → definition → graph → diagnostics, or the source of a Prefect flow.

Imports ``core`` and the node types' specifications from ``tasks``; never Prefect, Dask or torch. What is
exported here is imported on first use. The tree reads as the pipeline: ``source`` → ``dialects/`` →
``validate`` (with ``model``) → ``graph`` → ``passes/`` → ``checks/`` → ``emission`` → ``load``;
``expressions/`` is the language inside ``{{ }}``, ``draw/`` the pictures. Start reading at :mod:`.analysis`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .analysis import Analysis, analyze
    from .diagnostics import Diagnostic
    from .emission import emit
    from .load import CompiledWorkflow, compile_workflow, load_flow_module
    from .model import Definition

__all__ = [
    "Analysis",
    "CompiledWorkflow",
    "Definition",
    "Diagnostic",
    "analyze",
    "compile_workflow",
    "emit",
    "load_flow_module",
]

_HOME = {
    "Analysis": "analysis",
    "CompiledWorkflow": "load",
    "Definition": "model",
    "Diagnostic": "diagnostics",
    "analyze": "analysis",
    "compile_workflow": "load",
    "emit": "emission",
    "load_flow_module": "load",
}


def __getattr__(name: str) -> Any:
    if (module := _HOME.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value
