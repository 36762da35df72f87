"""Whether a node runs, and with what: decided from its edges and the outputs before it, in the run's process or on a
worker alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import Code, RealmError
from ..core.resources import Resources
from ..tasks.executor import NodeCall
from ..tasks.registry import registry
from ..tasks.sdk import NodeType
from .declarations import Edge
from .joins import Verdict, decide, fired

if TYPE_CHECKING:
    from .scope import Handle


def verdict_of(handle: Handle, incoming: Sequence[Edge]) -> Verdict:
    """Whether a node runs, all its sources being decided. Raises what its conditions raise."""
    from ..compiler.expressions import holds

    scope = handle.scope.expressions()

    def condition(when: str | bool) -> bool:
        return holds(when, scope)

    live = [
        e for e in incoming if fired(e, handle.scope.outgoing[e.source.node.id], condition, handle.node.id)
    ]
    verdict = decide(handle.node, incoming, live)
    if verdict.runs and handle.node.when is not None and not condition(handle.node.when):
        return Verdict(False, reason=f"its guard does not hold: {handle.node.when}")
    return verdict


def call_of(handle: Handle, verdict: Verdict) -> NodeCall:
    """The node's call, its parameters and input evaluated. Raises what its templates raise."""
    from ..compiler.expressions import render

    node, run = handle.node, handle.scope.run
    node_type = registry()[node.type]
    scope = handle.scope.expressions()
    given = _bounded(handle, _input(handle, verdict, scope), run.env.settings.max_payload_bytes)
    deferred = {name: value for name, value in node.parameters.items() if name in node_type.deferred}
    now = {name: value for name, value in node.parameters.items() if name not in deferred}
    return bare_call(
        handle,
        parameters={**render(now, scope), **deferred},
        input=given,
        timeout=node.timeout or node_type.timeout,
        roots=tuple(map(str, run.env.roots)),
        gpu_wanted=resources_of(handle, node_type).gpu != "none",
    )


def bare_call(handle: Handle, position: int | None = None, **more: Any) -> NodeCall:
    """A call that says which node it is of, and no ``more``.

    What was undone runs under another execution key, that of its ``position`` among the steps that can be undone, and
    so does what undoes it: else the second time would be taken for the first, and have no effect.
    """
    run = handle.scope.run
    if position is None:
        undone = run.undone.get((handle.key, handle.scope.iteration))
        position = None if undone is None else undone.position
    again = "" if position is None else f"~{position}"
    return NodeCall(
        node_type=handle.node.type,
        node_id=handle.key,
        instance_id=run.instance_id,
        execution_key=f"{run.instance_id}/{handle.label}{again}",
        iteration=handle.scope.iteration,
        max_payload_bytes=run.env.settings.max_payload_bytes,
        **more,
    )


def _input(handle: Handle, verdict: Verdict, scope: Mapping[str, Any]) -> dict[str, Any]:
    """What the node gets: its own mapping, else its live predecessors' outputs merged, else what its scope was
    given."""
    from ..compiler.expressions import apply_mapping, render

    if handle.node.input is not None:
        return render(dict(handle.node.input), scope)
    if not verdict.live:
        return dict(handle.scope.given)
    merged: dict[str, Any] = {}
    for edge in verdict.live:
        source = edge.source.given
        mapped = apply_mapping(edge.mapping, source, scope) if edge.mapping is not None else _fields(source)
        _merge(merged, mapped)
    return merged


def _fields(output: Any) -> dict[str, Any]:
    """An output as the fields of an input: a foreach's or loop's list is ``items``."""
    return output if isinstance(output, dict) else {"items": output}


def _merge(target: dict[str, Any], update: Mapping[str, Any]) -> None:
    for key, value in update.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            target[key] = dict(target[key])
            _merge(target[key], value)
        else:
            target[key] = value


def _bounded(handle: Handle, value: dict[str, Any], limit: int) -> dict[str, Any]:
    size = len(json.dumps(value, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass"))
    if size > limit:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"the input of node {handle.label!r} is {size} bytes of JSON, more than the limit of {limit}",
            hint="pass a file reference, or map only the fields that it needs",
        )
    return value


def resources_of(handle: Handle, node_type: NodeType) -> Resources:
    """What the node asks for: its type's resources, with its own in their place."""
    if not handle.node.resources:
        return node_type.resources
    return Resources.model_validate({**node_type.resources.model_dump(), **dict(handle.node.resources)})
