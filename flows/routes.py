"""Where a node goes when it has failed for good: what its ``on_error`` rules say. The first rule for a code counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.errors import Code
from .declarations import Node


def fallback(node: Node, code: Code, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the node's degraded last try after ``code``, or the very same object when it has none."""
    rule = _rule(node, code, "fallback")
    return {**parameters, **rule["fallback"]} if rule else parameters


def ignores(node: Node, code: Code) -> bool:
    """Whether the definition lets the instance go on after this node failed with ``code``."""
    return bool((_rule(node, code, "ignore") or {}).get("ignore"))


def goto(node: Node, code: Code) -> str | None:
    """The node that goes on in its place after ``code``; nothing else that follows it runs."""
    return (_rule(node, code, "goto") or {}).get("goto")


def _rule(node: Node, code: Code, way: str) -> dict[str, Any] | None:
    """The first ``on_error`` rule for ``code``, if it goes this way."""
    rules = node.on_error or ()
    for rule in [rules] if isinstance(rules, Mapping) else rules:
        if not rule.get("codes") or code.value in rule["codes"]:
            return dict(rule) if rule.get(way) is not None else None
    return None
