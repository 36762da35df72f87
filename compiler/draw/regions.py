"""What is drawn, before it is placed: a tree of regions, each with the figures of one scope and the edges
between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..analysis import Analysis
from ..document import Document
from ..graph import Graph, GraphNode
from ..scopes import Scope
from .captions import caption

MOST = 1500
"""Nodes up to which the workflows behind sub-workflow nodes are drawn too; those for which no room is left
are closed."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A node: its key in the journal, its texts, and what is inside it."""

    key: str
    node: GraphNode
    title: str
    subtitle: str
    parts: tuple[Region, ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """The nodes of one scope: the definition, a body, a branch (which has a name)."""

    graph: Graph
    figures: Mapping[str, Figure]
    name: str | None = None

    def walk(self) -> Iterator[Figure]:
        """Every figure, outer ones first."""
        for figure in self.figures.values():
            yield figure
            for part in figure.parts:
                yield from part.walk()


def region_of(source: Graph | Scope | Analysis) -> Region:
    """The tree of a flat graph, of a scope (which knows nesting), or of an analysis (which also knows display
    names, parameters and sub-workflows)."""
    if isinstance(source, Graph):
        return Region(source, {n.id: Figure(n.id, n, n.id, n.type or "?") for n in source.nodes})
    scope = source if isinstance(source, Scope) else source.scope
    if scope is None:
        return Region(Graph((), ()), {})
    builder = _Builder(sum(len(one.graph.nodes) for one in scope.walk()))
    return builder.region(scope, source if isinstance(source, Analysis) else None, "")


class _Builder:
    def __init__(self, drawn: int) -> None:
        self.left = MOST - drawn

    def region(self, scope: Scope, analysis: Analysis | None, prefix: str) -> Region:
        """The region of a scope whose nodes' keys begin with ``prefix``."""
        children: dict[str, list[Scope]] = {}
        for child in scope.children:
            if child.owner is not None:
                children.setdefault(child.owner.id, []).append(child)
        figures = {
            node.id: self._figure(node, children.get(node.id, []), analysis, prefix + node.id)
            for node in scope.graph.nodes
        }
        return Region(scope.graph, figures, scope.name)

    def _figure(self, node: GraphNode, inside: list[Scope], analysis: Analysis | None, key: str) -> Figure:
        raw = _raw(analysis.document if analysis else None, node)
        parts = tuple(
            self.region(scope, analysis, "/".join(filter(None, (key, scope.name))) + "/") for scope in inside
        )
        words = caption(node.type, raw) if raw else None
        called = analysis.subworkflows.get(node.path) if analysis else None
        if called is not None and called.scope is not None:
            version = called.definition.version if called.definition else None
            name = called.definition.name if called.definition else (words or "")
            words = " ".join(filter(None, (name, version)))
            count = sum(len(one.graph.nodes) for one in called.scope.walk())
            if count <= self.left:
                self.left -= count
                parts = (self.region(called.scope, called, key + "/"),)
            else:
                words += f" ({count} nodes)"
        display = raw.get("display_name")
        if isinstance(display, str) and display.strip():
            return Figure(key, node, display, words or f"{node.id} · {node.type or '?'}", parts)
        return Figure(key, node, node.id, words or node.type or "?", parts)


def _raw(document: Document | None, node: GraphNode) -> Mapping[str, Any]:
    """The node as written; empty where nobody knows."""
    found = document.value(node.path) if document is not None else None
    return found if isinstance(found, dict) else {}
