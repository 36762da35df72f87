"""The rules of ``flows/joins.py``, as far as passes rely on them."""

from __future__ import annotations

from collections.abc import Mapping

from ..diagnostics import Path
from ..expressions.errors import ExpressionError
from ..expressions.parser import parse
from ..expressions.references import node_key
from ..expressions.syntax import Binary, Literal, Logic, Node, Unary, chain_of
from ..graph import Edge
from ..model import NodeDefinition
from ..passes.edges_from_control import DECISIONS
from ..plan import Block


def tolerant(node: NodeDefinition) -> bool:
    """Whether others may run after it failed."""
    return not node.fail_on_error or any(rule.ignore or rule.goto for rule in node.on_error)


def needed(node: NodeDefinition, incoming: int) -> int:
    """How many of its incoming edges must fire."""
    if node.join == "any":
        return min(1, incoming)
    return incoming if node.join == "all" else int(node.join)


def siblings(block: Block, edge: Edge) -> list[Edge]:
    """The edges with conditions out of the same source, in the order in which an ``else`` asks them: that in which
    their targets are started."""
    asked = [one for one in block.graph.outgoing(edge.source) if one.condition not in (None, "else")]
    return sorted(asked, key=lambda one: block.places[one.target])


def is_quiet(block: Block, nodes: Mapping[Path, NodeDefinition], edge: Edge) -> bool:
    """Whether asking if the edge fires can never fail: it has no condition, a constant one, or one that only reads
    what the decision before it has decided."""
    if edge.condition in (None, "true", "false"):
        return True
    if edge.condition == "else":
        return all(is_quiet(block, nodes, one) for one in siblings(block, edge))
    source = nodes[block.graph.by_id[edge.source].path]
    if source.type not in DECISIONS or tolerant(source):
        return False
    try:
        return _is_truth(parse(str(edge.condition)), edge.source)
    except ExpressionError:
        return False


def _is_truth(tree: Node, decision: str) -> bool:
    """Whether it is true or false whatever ``decision`` decided."""
    match tree:
        case Literal(value=bool()):
            return True
        case Unary(operator="!", operand=operand):
            return _is_truth(operand, decision)
        case Logic(operands=operands):
            return all(_is_truth(operand, decision) for operand in operands)
        case Binary(operator="==" | "!=", left=left, right=Literal()):
            return _field(left, decision) in ("result", "case")
        case _:
            return _field(tree, decision) == "result"


def _field(tree: Node, decision: str) -> str | None:
    """The field of the decision's output that ``tree`` reads."""
    chain = chain_of(tree)
    if chain is None or chain.root != "nodes" or len(chain.path) != 2:
        return None
    return str(chain.path[1]) if node_key((decision,), str(chain.path[0])) == decision else None
