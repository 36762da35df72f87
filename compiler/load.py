"""From emitted source to a running module: the flow is loaded from the very text that `realm compile` writes."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .analysis import Analysis, analyze
from .emission import emit, flow_name
from .literals import identifier
from .model import Definition


@dataclass(frozen=True)
class CompiledWorkflow:
    """A compiled workflow: its source, the module that the source is, and what the module declares."""

    source: str = field(repr=False)
    module: ModuleType = field(repr=False)
    flow: Callable[..., Any]
    workflow: Any
    """The module's ``WORKFLOW``."""
    definition: Definition = field(repr=False)


def load_flow_module(source: str, module_name: str) -> ModuleType:
    """Execute ``source`` as the module ``module_name``, in place of an earlier one of that name.

    The source is known to :mod:`linecache`, so that tracebacks show it. A module that fails leaves no trace.
    """
    file = f"<flow {module_name}>"
    module = ModuleType(module_name)
    module.__file__ = file
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    earlier = sys.modules.get(module_name)
    sys.modules[module_name] = module
    try:
        exec(compile(source, file, "exec"), module.__dict__)  # noqa: S102 - our own emitted source, no user text in it
    except BaseException:
        linecache.cache.pop(file, None)
        if earlier is None:
            del sys.modules[module_name]
        else:
            sys.modules[module_name] = earlier
        raise
    return module


def compile_workflow(
    definition: str | os.PathLike[str] | Analysis, *, optimised: bool = True
) -> CompiledWorkflow:
    """Compile a definition and load its flow. Raises INVALID_WORKFLOW_DEFINITION with every finding.

    Not ``optimised``, every node and every variable is there as written, as debugging needs it.
    """
    analysis = definition if isinstance(definition, Analysis) else analyze(definition)
    source = emit(analysis, optimised=optimised)
    assert analysis.definition is not None
    name = identifier(analysis.definition.name, otherwise="workflow")
    digest = analysis.definition.hash.removeprefix("sha256:")[:12]
    module = load_flow_module(source, f"mirror_realm_flow_{name}_{digest}")
    workflow = module.WORKFLOW
    return CompiledWorkflow(
        source, module, module.__dict__[flow_name(workflow.name)], workflow, analysis.definition
    )
