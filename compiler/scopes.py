"""Scopes: the definition itself, and every part (a loop's body, a fork's branch) inside one of its nodes.

Each scope has a graph of its own. Its expressions read the nodes of its own graph and of the scopes around it, and the
names that those bind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..tasks.registry import Registry
from .diagnostics import Path
from .document import Document
from .graph import Graph, GraphNode, build_graph

NAMES = ("input", "trigger", "nodes", "vars", "execution", "env")
"""What every expression may read."""


@dataclass(frozen=True, eq=False)
class Scope:
    """``path`` is the place of the mapping that holds ``nodes`` and ``edges``; ``written`` has the edges as written,
    ``graph`` those that are meant; ``names`` are what the owner binds for it, each with the owner's parameter whose
    items it goes through, if it does."""

    path: Path
    written: Graph
    graph: Graph
    owner: GraphNode | None = None
    parent: Scope | None = None
    name: str | None = None
    """A branch's name."""
    names: Mapping[str, str | None] = field(default_factory=dict)
    children: list[Scope] = field(default_factory=list, repr=False)

    @property
    def key(self) -> str:
        """The path of ids that leads here, ``""`` for the definition: ``each``, ``fork/left/again``. A nested node's id
        in the journal is this, a slash and its own id."""
        if self.owner is None or self.parent is None:
            return ""
        return "/".join(part for part in (self.parent.key, self.owner.id, self.name) if part)

    def around(self) -> Iterator[Scope]:
        """This scope and those around it, from the inside."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    @property
    def readable(self) -> tuple[str, ...]:
        """Every name that expressions here may begin with."""
        return (*NAMES, *dict.fromkeys(name for scope in self.around() for name in scope.names))

    def parts_of(self, node_id: str) -> tuple[Scope, ...]:
        """The scopes inside a node of this one."""
        return tuple(child for child in self.children if child.owner and child.owner.id == node_id)

    def walk(self) -> Iterator[Scope]:
        """This scope and all inside it, outer ones first."""
        yield self
        for child in self.children:
            yield from child.walk()


def build_scopes(document: Document, registry: Registry) -> Scope:
    """The scope of a canonical document, with those inside it."""
    return _scope(document, registry, (), None, None, None, {})


def branch_name(part: Any, index: int) -> str:
    """The name of a fork's branch: its own, or its number from 1."""
    name = part.get("name") if isinstance(part, dict) else None
    return name if isinstance(name, str) and name else f"branch-{index + 1}"


def _scope(
    document: Document,
    registry: Registry,
    path: Path,
    owner: GraphNode | None,
    parent: Scope | None,
    name: str | None,
    names: Mapping[str, str | None],
) -> Scope:
    from . import passes

    written = build_graph(document, path)
    scope = Scope(path, written, passes.apply(written, document), owner, parent, name, names)
    for node in scope.graph.nodes:
        raw = document.value(node.path)
        bound = _bound(registry, node, raw)
        if isinstance(raw.get("body"), dict):
            inner = (*node.path, "body")
            scope.children.append(_scope(document, registry, inner, node, scope, None, bound))
        branches = raw.get("branches")
        for index, part in enumerate(branches if isinstance(branches, list) else ()):
            if isinstance(part, dict):
                inner = (*node.path, "branches", index)
                called = branch_name(part, index)
                scope.children.append(_scope(document, registry, inner, node, scope, called, bound))
    return scope


def _bound(registry: Registry, node: GraphNode, raw: dict[str, Any]) -> Mapping[str, str | None]:
    if node.type not in registry:
        return {"loop": None, "item": None}  # Unknown, and reported: nothing is said about its names.
    parameters = raw.get("parameters")
    return registry[node.type].binds(parameters if isinstance(parameters, dict) else {})
