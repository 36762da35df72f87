"""What is known of constructs beforehand: how many rounds of their parts run, and how many at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...tasks.sdk import NodeType
from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from ..expressions.syntax import Binary, Chain, Literal, chain_of
from ..expressions.templates import condition_of


def parameters_of(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parameters of a node as written."""
    given = raw.get("parameters")
    return given if isinstance(given, dict) else {}


def goes_through(node_type: NodeType, raw: Mapping[str, Any]) -> Any:
    """The items that the construct runs its part for: a list, or the expression that gives it; ``None`` where it goes
    through none."""
    parameters = parameters_of(raw)
    source = next((source for source in node_type.binds(parameters).values() if source), None)
    return None if source is None else parameters.get(source, "")


def at_once(node_type: NodeType, raw: Mapping[str, Any]) -> int:
    """How many rounds of its parts the construct runs at the same time, at most."""
    branches, items = raw.get("branches"), goes_through(node_type, raw)
    field = node_type.parameters.model_fields.get("max_concurrent")
    given = parameters_of(raw).get("max_concurrent")
    if type(given) is not int and field is not None:
        given = field.default
    limits = [given] if type(given) is int else []
    if node_type.parts == "branches":
        limits.append(len(branches) if isinstance(branches, list) else 1)
    elif items is None:
        return 1
    elif isinstance(items, list):
        limits.append(len(items))
    return max(min(limits, default=1), 1)


def least_rounds(node_type: NodeType, raw: Mapping[str, Any]) -> int:
    """How many rounds of its one part the construct surely runs when nothing fails."""
    parameters, items = parameters_of(raw), goes_through(node_type, raw)
    if items is not None:
        return len(items) if isinstance(items, list) else 0
    if not node_type.binds(parameters) or parameters.get("mode") == "do-while":
        return 1
    if parameters.get("mode", "while") != "while" or parameters.get("break_on_error"):
        return 0
    return _counted(parameters.get("condition"))


def _counted(condition: Any) -> int:
    """The rounds of a loop whose condition is ``loop.index < n``."""
    try:
        tree = parse(condition_of(condition).expression) if isinstance(condition, str) else None
    except ExpressionError:
        return 0
    if not isinstance(tree, Binary) or tree.operator not in ("<", "<=", "!="):
        return 0
    limit = tree.right.value if isinstance(tree.right, Literal) else None
    if chain_of(tree.left) != Chain("loop", ("index",)) or type(limit) is not int:
        return 0
    return max(limit + (tree.operator == "<="), 0)
