"""What checks look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ...tasks.registry import Registry
from ...tasks.sdk import NodeType
from ..diagnostics import Diagnostic, Path
from ..document import Document
from ..graph import Graph
from ..model import Definition
from ..validate import UNNAMED


@dataclass(frozen=True)
class Subject:
    """A canonical document, its graph, and the definition as far as its form could be saved."""

    document: Document
    written: Graph
    """The edges as written; ``graph`` has those that are meant."""
    graph: Graph
    registry: Registry
    definition: Definition | None = None
    form: tuple[Diagnostic, ...] = field(default=(), repr=False)
    """What was found before the checks."""

    @property
    def tree(self) -> dict[str, Any]:
        """The canonical document's mapping."""
        return self.document.tree if isinstance(self.document.tree, dict) else {}

    def nodes(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The nodes that are mappings, with their paths."""
        items = self.tree.get("nodes")
        for index, node in enumerate(items if isinstance(items, list) else ()):
            if isinstance(node, dict):
                yield ("nodes", index), node

    def node_type(self, name: Any) -> NodeType | None:
        """The node type of that name, if the registry has it."""
        return self.registry[name] if isinstance(name, str) and name in self.registry else None

    @cached_property
    def unnamed(self) -> bool:
        """Whether a node stands without an id, so that references to it must look wrong."""
        return any(node.id.startswith(UNNAMED) for node in self.graph.nodes)
