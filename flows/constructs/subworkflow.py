"""``control/subworkflow``: another workflow, with an input and variables of its own, inside this run."""

from __future__ import annotations

from typing import Any

from ...core.errors import NO_VERDICTS, Code, RealmError
from ...tasks.control.constructs import SubworkflowParameters
from ..aftermath import follow_inside
from ..declarations import SubWorkflow
from ..instances import input_error
from .site import Site


async def subworkflow(site: Site, parameters: SubworkflowParameters) -> Any:
    """The sub-workflow's output. INVALID_ARGUMENT for an input that its schema refuses."""
    part = site.parts[""]
    if not isinstance(part, SubWorkflow):
        raise RealmError(Code.INTERNAL_ERROR, f"{site.handle.label} was not compiled with its workflow")
    workflow = part.workflow
    given = site.call.input if parameters.input is None else parameters.input
    if (error := input_error(workflow, given)) is not None:
        raise RealmError.from_record(error)
    execution = {
        **site.handle.scope.run.names["execution"],
        "workflow": workflow.name,
        "version": workflow.version,
    }
    names = {"input": given, "vars": dict(workflow.variables), "execution": execution}
    site.notes["workflow"] = f"{workflow.name} {workflow.version}"
    scope = await site.open(names=names, given=given, isolated=True)
    try:
        await site.settle(scope, part)
        return scope.result(workflow.output, ends_only=True)
    except NO_VERDICTS:
        raise
    except RealmError as failure:
        if scope.failed is scope.failure:  # Else it was cancelled, for what is around it failed.
            await follow_inside(scope, part, failure.record, begins=not site.carried)
        raise
