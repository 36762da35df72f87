"""How a node that has completed can be undone: the finished call, made while everything that it reads is at hand."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..core.errors import ErrorRecord, RealmError
from ..tasks.executor import NodeCall

if TYPE_CHECKING:
    from ..store.sagas import NewStep
    from .scope import Handle


def step_of(handle: Handle, call: NodeCall, output: Any) -> NewStep | None:
    """How to undo a node that has just completed; ``None`` where the definition does not say.

    The templates of ``compensate`` see the node's ``output``, and as ``input`` its own input over the instance's.
    Without an ``input`` of its own, the undoing call gets the node's input and output, merged.
    """
    from ..store.sagas import NewStep

    rule = handle.node.compensate
    if rule is None:
        return None
    parameters: Mapping[str, Any] = {}
    given: Mapping[str, Any] = {}
    error: ErrorRecord | None = None
    try:
        parameters, given = _rendered(handle, rule, call, output)
    except RealmError as failure:
        error = failure.record
    return NewStep(
        instance_id=call.instance_id,
        node_id=handle.key,
        iteration=handle.scope.iteration,
        node_type=rule["type"],
        parameters=parameters,
        input=given,
        retry=None if handle.node.retry is None else asdict(handle.node.retry),
        error=None if error is None else error.to_dict(),
    )


def _rendered(
    handle: Handle, rule: Mapping[str, Any], call: NodeCall, output: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    from ..compiler.expressions import render

    around = handle.scope.expressions()
    own = {**around.get("input", {}), **call.input}
    scope = {**around, "output": output, "input": own}
    scope["nodes"] = ChainMap({handle.node.id: output}, around["nodes"])
    given = rule.get("input")
    if given is None:
        merged = {**call.input, **(output if isinstance(output, dict) else {"items": output})}
        return render(dict(rule.get("parameters") or {}), scope), merged
    return render(dict(rule.get("parameters") or {}), scope), render(dict(given), scope)
