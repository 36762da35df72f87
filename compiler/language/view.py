"""A definition as an editor sees it: its analysis, and what is derived from it once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ...tasks.registry import Registry
from ...tasks.sdk import NodeType
from ..analysis import Analysis
from ..diagnostics import Path
from ..document import Document
from ..expressions.positions import Places
from ..scopes import Scope
from .context import Context
from .reach import Reach
from .schema_view import SchemaView, schema_view

_CONDITIONS = ("when", "condition", "expression")


@dataclass(frozen=True)
class Site:
    """Where a context is in the definition: the scope, and the node of it that is around, as far as they are known."""

    scope: Scope
    node: str | None
    node_path: Path | None
    """The author's path of the innermost node's mapping."""


@dataclass(frozen=True, eq=False)
class View:
    """``analysis`` may be of an older text than the one being edited: its names are then good, its positions not."""

    analysis: Analysis

    @cached_property
    def registry(self) -> Registry:
        """The node types."""
        if self.analysis.registry is not None:
            return self.analysis.registry
        from ...tasks.registry import registry

        return registry()

    @property
    def text(self) -> str:
        """The text that was analysed."""
        return self.analysis.text

    @property
    def document(self) -> Document | None:
        """The canonical document."""
        return self.analysis.document

    @property
    def scope(self) -> Scope | None:
        """The definition's own scope."""
        return self.analysis.scope

    @cached_property
    def schema(self) -> SchemaView:
        """The JSON Schema over the node types."""
        return schema_view(self.registry)

    @cached_property
    def places(self) -> Places:
        """Lines and columns of the text."""
        return Places(self.text)

    @cached_property
    def authored(self) -> Document | None:
        """The document as written, before any dialect rewrote it."""
        from ..source import load

        return load(self.analysis.file, text=self.text).document

    def span(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """The offsets of the value at a canonical path, or of its key."""
        assert self.document is not None
        span = self.document.key_span(path) if key else self.document.span(path)
        return self.places.offset(span.line, span.column), self.places.offset(span.end_line, span.end_column)

    def node_type(self, name: str | None) -> NodeType | None:
        """A node type by name, if there is one."""
        return self.registry[name] if name is not None and name in self.registry else None

    def site(self, context: Context) -> Site | None:
        """Where ``context`` is: by the ids of the nodes around it, since its text may be newer than the analysis."""
        if self.scope is None:
            return None
        scope, node, node_path = self.scope, None, None
        for frame in context.frames:
            path = frame.path
            if node is not None and node_path is not None and len(path) > len(node_path):
                inner = self._entered(scope, node, path[len(node_path) :])
                if inner is not None:
                    scope, node, node_path = inner, None, None
            node_id = frame.entries.get("node_id") or frame.entries.get("id") or frame.entries.get("name")
            if _is_node(path) and node_id is not None and node is None:
                node, node_path = (node_id if node_id in scope.graph else None), path
        return Site(scope, node, node_path)

    def _entered(self, scope: Scope, node: str, inside: Path) -> Scope | None:
        """The part of ``node`` that the path ``inside`` it leads into."""
        parts = scope.parts_of(node)
        if not parts or inside[0] not in ("body", "branches", "nodes", "parameters"):
            return None
        if "branches" not in inside[:2]:
            return parts[0] if {"body", "nodes"} & set(map(str, inside[:2])) else None
        at = inside.index("branches") + 1
        which = inside[at] if at < len(inside) else None
        if isinstance(which, int):
            return parts[which] if which < len(parts) else None
        return next((part for part in parts if part.name == which), None)

    def reach(self, context: Context) -> Reach | None:
        """What an expression at ``context`` reads."""
        site = self.site(context)
        if site is None or self.document is None:
            return None
        later = self._deferred(context, site)
        if later is None:
            node = site.node or self._source(context, site)
            return Reach(self.document, self.registry, site.scope, node)
        return Reach(
            self.document, self.registry, site.scope, site.node, tuple(later.names), in_parts=later.in_parts
        )

    def is_condition(self, context: Context) -> bool:
        """Whether a value is an expression without any braces."""
        if context.role != "value" or not context.path:
            return False
        if context.path[-1] in _CONDITIONS:
            return True
        site = self.site(context)
        return site is not None and self._deferred(context, site) is not None

    def _deferred(self, context: Context, site: Site) -> Any:
        if site.node_path is None or not context.path:
            return None
        inside = context.path[len(site.node_path) :]
        name = inside[-1] if inside[:1] == ("parameters",) and len(inside) == 2 else None
        kind = self.node_type(type_of(context.entries(site.node_path)))
        return kind.deferred.get(str(name)) if kind is not None and name is not None else None

    def _source(self, context: Context, site: Site) -> str | None:
        """The node whose edge the context is in: its expressions read what that node read, and its own output."""
        for frame in reversed(context.frames):
            source = frame.entries.get("source") or frame.entries.get("from")
            if source and source in site.scope.graph and "edges" in frame.path:
                targets = [frame.entries.get("target"), frame.entries.get("to")]
                return next((one for one in targets if one and one in site.scope.graph), None)
        return None


def type_of(entries: Mapping[str, str]) -> str | None:
    """The node type that a node's entries name."""
    return entries.get("type") or entries.get("node_type")


def _is_node(path: Path) -> bool:
    if len(path) < 2 or not isinstance(path[-1], int):
        return False
    return path[-2] in ("nodes", "body") or (path[-3:-2] == ("branches",) and path[-2] != "edges")


def names_itself(context: Context) -> bool:
    """Whether a value is the id that a node has."""
    return context.path[-1:] == ("node_id",) and _is_node(context.path[:-1])
