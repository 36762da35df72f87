"""What may be cached, and under which key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...tasks.sdk import NodeType
from ..diagnostics import Diagnostic, Path
from .subject import Subject


def caching(subject: Subject) -> Iterator[Diagnostic]:
    """``cache`` on nodes that have effects or parts of their own, and keys that leave out everything that differs."""
    for path, node in subject.nodes():
        rule, node_type = node.get("cache"), subject.node_type(node.get("type"))
        if not isinstance(rule, dict) or node_type is None:
            continue
        where: Path = (*path, "cache")
        if node_type.where == "run":
            message = f"{node_type.name} cannot be cached: what it does is done by the run"
            yield subject.document.report("MR140", message, where, hint="cache the nodes inside it", key=True)
        elif rule.get("effects") is not True and _has_effects(subject, node_type, node):
            message = f"{node_type.name} has effects, which a cached result leaves out"
            hint = "remove cache, or write cache: {effects: true} if once is enough for all who ask"
            yield subject.document.report("MR140", message, where, hint=hint, key=True)
        elif node.get("compensate") is not None:
            message = "a cached result has done nothing here that could be undone"
            yield subject.document.report(
                "MR140", message, where, hint="remove cache or compensate", key=True, severity="warning"
            )
        yield from _key(subject, rule.get("key"), where)


def _key(subject: Subject, key: Any, where: Path) -> Iterator[Diagnostic]:
    if not isinstance(key, list) or not key or not {"inputs", "parameters"}.isdisjoint(map(str, key)):
        return
    message = (
        "with neither inputs nor parameters in the key, the first result serves whatever the node is given"
    )
    hint = "add inputs, parameters or both"
    yield subject.document.report("MR140", message, (*where, "key"), hint=hint, severity="warning")


def _has_effects(subject: Subject, node_type: NodeType, node: Mapping[str, Any]) -> bool:
    """Whether the node may change something outside; what cannot be told counts as yes."""
    from ..verify.accesses import effects_of

    if not node_type.side_effects or (found := effects_of(subject.registry, node)) is None:
        return node_type.side_effects
    effects, _ = found
    return effects is None or bool(effects.writes or effects.adds)
