"""The targets of ``on_error: {goto: …}`` become edges, which are taken when the node has failed with such a code."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..diagnostics import Path
from ..document import Document
from ..graph import Edge, Graph, GraphNode
from .edges_from_control import with_edges


def edges_from_errors(graph: Graph, document: Document) -> Graph:
    """One edge for each node that an error of another leads to, with all the codes that lead there."""
    made = [edge for node in graph.nodes for edge in _edges(node, document)]
    return with_edges(graph, graph.edges, made) if made else graph


def _edges(node: GraphNode, document: Document) -> Iterator[Edge]:
    ways: dict[str, tuple[Path, list[str] | None]] = {}
    for place, rule in _rules(node, document):
        target, codes = rule.get("goto"), rule.get("codes") or None
        if not isinstance(target, str) or not target:
            continue
        first, known = ways.get(target, (place, []))
        every = codes is None or known is None
        named = [code for code in codes or () if isinstance(code, str)] if isinstance(codes, list) else []
        ways[target] = (first, None if every else [*(known or ()), *named])
    for target, (place, codes) in ways.items():
        where = (*place, "goto")
        yield Edge(node.id, target, path=where, span=document.span(where), codes=tuple(codes or ()))


def _rules(node: GraphNode, document: Document) -> Iterator[tuple[Path, dict[str, Any]]]:
    rules = document.value(node.path).get("on_error")
    if isinstance(rules, dict):
        yield (*node.path, "on_error"), rules
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if isinstance(rule, dict):
            yield (*node.path, "on_error", index), rule
