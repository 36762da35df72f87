"""What stands beside an arrow: the way out of a decision by its name, else the edge's condition."""

from __future__ import annotations

import re

from ..graph import Edge, Graph
from ..passes.edges_from_control import DECISIONS, field_of
from .words import condition_text

_QUOTED = re.compile(r"'((?:[^'\\]|\\.)*)'")


def edge_label(graph: Graph, edge: Edge) -> str:
    """``true``, ``false`` or a case's name for an edge that a decision makes, else its condition."""
    source = graph.by_id.get(edge.source)
    if edge.condition is None or source is None or source.type not in DECISIONS:
        return condition_text(edge.condition)
    taken, case = field_of(edge.source, "result"), field_of(edge.source, "case")
    several = source.type != "control/condition" or any(
        case in (one.condition or "") for one in graph.outgoing(edge.source)
    )
    names: list[str] = []
    rest = edge.condition
    while rest:
        if rest.startswith(f"{case} == ") and (found := _QUOTED.match(rest, len(case) + 4)):
            names.append(
                re.sub(r"\\(.)", lambda match: {"n": " ", "r": " "}.get(match[1], match[1]), found[1])
            )
            rest = rest[found.end() :]
        elif rest.startswith(f"!{taken}"):
            names.append("else" if several else "false")
            rest = rest[len(taken) + 1 :]
        elif rest.startswith(taken):
            names.append("true")
            rest = rest[len(taken) :]
        else:
            return condition_text(edge.condition)
        if rest and not rest.startswith(" || "):
            return condition_text(edge.condition)
        rest = rest.removeprefix(" || ")
    return ", ".join(names)
