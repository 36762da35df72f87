"""What stands in the frame of a construct: what it does with the nodes inside, in a line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .words import condition_text

_MOST_WORDS = 160


def caption(kind: str, node: Mapping[str, Any]) -> str | None:
    """The line for a node of that type as written in the definition; ``None`` for types without one."""
    parameters = node.get("parameters")
    tell = _CAPTIONS.get(kind)
    return tell(parameters if isinstance(parameters, dict) else {}, node) if tell else None


def _foreach(parameters: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    item, items = _said(parameters.get("item", "item")), _said(parameters.get("items", "?"))
    return f"for each {item} in {items}, ≤ {_said(parameters.get('max_concurrent', 8))} at once"


def _loop(parameters: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    mode, condition = parameters.get("mode", "while"), _said(parameters.get("condition", "?"))
    words = f"again while {condition}" if mode == "do-while" else f"{_said(mode)} {condition}"
    most = parameters.get("max_iterations")
    return words if most is None else f"{words}, ≤ {_said(most)} rounds"


def _parallel(parameters: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    branches = node.get("branches")
    count = len(branches) if isinstance(branches, list) else 0
    wanted = parameters.get("wait_for", "all")
    number = {"all": "all", "any": "the first"}.get(str(wanted), _said(wanted))
    words = f"{number} of {count} branches"
    most = parameters.get("max_concurrent")
    return words if most is None else f"{words}, ≤ {_said(most)} at once"


def _transaction(parameters: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    return "all of it, or undone"


def _subworkflow(parameters: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    words = [_said(parameters.get("name", "?")), _said(parameters.get("version", ""))]
    return " ".join(filter(None, words))


_CAPTIONS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "control/foreach": _foreach,
    "control/loop": _loop,
    "control/parallel": _parallel,
    "control/subworkflow": _subworkflow,
    "control/transaction": _transaction,
}


def _said(value: Any) -> str:
    """A parameter in words: an expression without its braces, anything else as JSON."""
    if isinstance(value, str):
        return condition_text(value)[:_MOST_WORDS]
    return json.dumps(value, ensure_ascii=False, default=str)[:_MOST_WORDS]
