"""A definition as it is compared: its scopes with their graphs, and its nodes by place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...tasks.registry import Registry
from ..diagnostics import Path
from ..document import Document
from ..model import Definition, NodeDefinition
from ..scopes import Scope, build_scopes

COSMETIC = frozenset({"display_name", "description", "position", "labels", "tags", "metadata", "version"})
"""Fields, of the workflow or of a node, that change nothing that happens."""
PARTS = frozenset({"body", "branches"})


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two definitions."""

    definition: Definition
    registry: Registry

    @cached_property
    def tree(self) -> dict[str, Any]:
        """Its canonical document."""
        return self.definition.document()

    @cached_property
    def scope(self) -> Scope:
        """Its scopes, with the edges that control nodes and aggregates make."""
        return build_scopes(Document(self.tree, 0, ""), self.registry)

    @cached_property
    def _at(self) -> Mapping[Path, NodeDefinition]:
        return dict(self.definition.walk())

    def nodes(self, scope: Scope) -> dict[str, NodeDefinition]:
        """A scope's nodes by id."""
        return {node.id: self._at[node.path] for node in scope.graph.nodes}

    def part(self, scope: Scope) -> dict[str, Any]:
        """The mapping that holds a scope's nodes, edges and output."""
        found: Any = self.tree
        for step in scope.path:
            found = found[step]
        return found

    def edges(self, scope: Scope) -> list[dict[str, Any]]:
        """A scope's edges as listed."""
        return list(self.part(scope).get("edges", ()))


def journal_id(scope: Scope, node_id: str) -> str:
    """The id under which a node of ``scope`` is journaled."""
    return f"{scope.key}/{node_id}" if scope.key else node_id
