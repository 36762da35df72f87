"""``platform``: ``nodes`` and ``edges`` of ``source``/``target`` or ``from``/``to``. Source: seed 000
§4.6.1."""

from __future__ import annotations

from typing import Any

from ..diagnostics import Diagnostic
from ..document import Document
from .rewriting import Draft

ID = "platform"
TOP_NAMES = {"max_duration": "timeout"}
NODE_NAMES = {"node_type": "type"}
EDGE_NAMES = {"from": "source", "to": "target"}
VOCABULARY = {"": (*TOP_NAMES, "dialect"), "nodes": tuple(NODE_NAMES), "edges": tuple(EDGE_NAMES)}
"""Keys beside the canonical ones."""


def recognises(tree: Any) -> bool:
    """A mapping with nodes."""
    return isinstance(tree, dict) and "nodes" in tree


def rewrite(document: Document) -> tuple[Document, tuple[Diagnostic, ...]]:
    """Give the aliases their canonical names."""
    draft = Draft(document)
    draft.rename(draft.tree, draft.marks, (), TOP_NAMES)
    for part in draft.walk():
        rename_aliases(part)
    return draft.done()


def rename_aliases(draft: Draft) -> None:
    """The aliases of nodes and edges, which this dialect's relatives share."""
    for index, node, mark in draft.maps("nodes"):
        draft.rename(node, mark, (*draft.base, "nodes", index), NODE_NAMES)
    for index, edge, mark in draft.maps("edges"):
        draft.rename(edge, mark, (*draft.base, "edges", index), EDGE_NAMES)
