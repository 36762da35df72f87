"""What expressions can read in each scope, and the shape of it: names, nodes in reach, and what each node gives.

A node gives what its type declares, or what its parts, its parameters or its sub-workflow spell out. One
:class:`Outputs` serves all checks of a definition and looks at each node once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .composed import Fields, Items, is_text, item_of, or_failed, shape_of_literal, sole_hole
from .errors import ExpressionError
from .references import Reference, node_key
from .rewrite import rewrite
from .shapes import ANYTHING, Shape, shape_of_model, shape_of_schema, shape_of_value
from .typecheck import result_schema

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ...tasks.sdk import NodeType
    from ..analysis import Analysis
    from ..diagnostics import Path
    from ..document import Document
    from ..scopes import Scope

_DEEPEST = 40
"""How far an output is followed through others; what lies beyond may be anything."""
_TEXT = shape_of_schema({"type": "string"})
_LOOP = shape_of_schema(
    {
        "type": "object",
        "properties": {"index": {"type": "integer"}, "length": {"type": "integer"}, "last": {}, "parent": {}},
        "additionalProperties": False,
    }
)
_EXECUTION = {"id": {}, "workflow": {}, "version": {}, "started_at": {}}
_GIVEN: Mapping[str, Shape] = {
    "trigger": shape_of_schema({"type": "object", "properties": {"type": {}, "payload": {}}}),
    "execution": shape_of_schema({"type": "object", "properties": _EXECUTION, "additionalProperties": False}),
}


@dataclass(frozen=True, slots=True)
class Known:
    """A node in reach: as written, its scope, and the node of that scope in whose parts the reader is (if it is)."""

    node: Mapping[str, Any]
    scope: Scope
    within: str | None


class Outputs:
    """The shapes of one definition."""

    def __init__(
        self, document: Document, registry: Registry, subworkflows: Mapping[Path, Analysis] | None = None
    ) -> None:
        self._document = document
        self._registry = registry
        self._subworkflows = subworkflows or {}
        self._of_nodes: dict[tuple[int, str], Shape] = {}
        self._reach: dict[int, Mapping[str, Known]] = {}
        self._names: dict[int, Mapping[str, Shape]] = {}
        self._busy: set[tuple[int, str]] = set()
        self._depth = 0

    def reach(self, scope: Scope) -> Mapping[str, Known]:
        """The nodes that expressions in ``scope`` can name: its own and those of the scopes around it."""
        if (found := self._reach.get(id(scope))) is None:
            found = {}
            within: str | None = None
            for one in scope.around():
                for node in self._written(one):
                    found.setdefault(node["node_id"], Known(node, one, within))
                within = one.owner.id if one.owner else None
            self._reach[id(scope)] = found
        return found

    def names(self, scope: Scope) -> Mapping[str, Shape]:
        """The shapes of the names in ``scope`` that are not nodes, as far as they are declared."""
        if (found := self._names.get(id(scope))) is None:
            tree = self._document.tree if isinstance(self._document.tree, dict) else {}
            shapes = {"input": shape_of_schema(tree.get("input")), "loop": _LOOP, **_GIVEN}
            variables = tree.get("variables")
            if variables is None or isinstance(variables, dict):
                shapes["vars"] = shape_of_value(variables or {})
            self._names[id(scope)] = shapes  # Complete enough for what the bound names are made of.
            for one in reversed(list(scope.around())):
                shapes |= {name: self._item(one, source) for name, source in one.names.items() if source}
            found = shapes
        return found

    def of_node(self, known: Known) -> Shape:
        """The shape of a node's output; anything, where the instance may go on without it."""
        key = (id(known.scope), str(known.node.get("node_id")))
        if key in self._of_nodes:
            return self._of_nodes[key]
        if key in self._busy or self._depth >= _DEEPEST:
            return ANYTHING
        with self._looking(key):
            shape = self._of_nodes[key] = self._output(known)
        return shape

    def of_reference(self, reference: Reference, scope: Scope) -> Shape:
        """The shape of a reference that ``scope`` can make; anything, for a wrong one."""
        shape, parts = self.names(scope).get(reference.root, ANYTHING), reference.path
        if reference.root == "nodes":
            reach = self.reach(scope)
            node_id = node_key(reach, str(parts[0])) if parts else None
            if node_id is None:
                return ANYTHING
            shape, parts = self.of_node(reach[node_id]), parts[1:]
        for part in parts:
            step = shape.step(part)
            if not isinstance(step, Shape):
                return ANYTHING
            shape = step
        return shape

    def of_value(self, value: Any, scope: Scope) -> Shape:
        """The shape of what a literal or a template renders to."""
        if isinstance(value, dict) and "{{" in str(value):
            return ANYTHING if any("{{" in str(name) for name in value) else self.of_template(value, scope)
        hole = sole_hole(value) if isinstance(value, str) else None
        if hole is None:
            return _TEXT if isinstance(value, str) and is_text(value) else shape_of_literal(value)

        def shape_of(reference: Reference) -> Shape:
            return self.of_reference(reference, scope)

        try:
            rewritten = rewrite(hole.expression, lambda reference, index: f"v{index}")
        except ExpressionError:
            return ANYTHING
        reference = rewritten.variables.get(rewritten.text.strip())
        if reference is None:
            return shape_of_schema(result_schema(hole.expression, shape_of))
        return shape_of(reference) if reference.mode == "value" else ANYTHING

    def of_template(self, template: Mapping[str, Any], scope: Scope) -> Shape:
        """The shape of what a mapping of literals and templates renders to."""
        return Fields(known={str(name): self.of_value(value, scope) for name, value in template.items()})

    def _output(self, known: Known) -> Shape:
        shape, rules = self._given(known), known.node.get("on_error")
        routed = any(
            isinstance(rule, dict) and (rule.get("goto") or rule.get("ignore"))
            for rule in (rules if isinstance(rules, list) else [rules])
        )
        return or_failed(shape) if routed else shape

    def _given(self, known: Known) -> Shape:
        """The shape of what the node gives when it completes."""
        node, kind = known.node, known.node.get("type")
        if not isinstance(kind, str) or kind not in self._registry or node.get("fail_on_error") is False:
            return ANYTHING
        node_type, given = self._registry[kind], node.get("parameters")
        parameters = given if isinstance(given, dict) else {}
        if (template := node_type.gives(parameters)) is not None:
            return self.of_template(template, known.scope)
        node_id = str(node.get("node_id"))
        inside = known.scope.parts_of(node_id)
        if inside and parameters.get("results", "list") == "list":
            return self._of_parts(node_type, parameters, inside)
        if node_id in known.scope.graph:
            inner = self._subworkflows.get(known.scope.graph.by_id[node_id].path)
            if inner is not None and inner.scope is not None and inner.document is not None:
                return self._of_workflow(inner, inner.scope, inner.document)
        return shape_of_model(node_type.output)

    def _of_parts(
        self, node_type: NodeType, parameters: Mapping[str, Any], inside: tuple[Scope, ...]
    ) -> Shape:
        if node_type.parts == "branches":
            return Fields(known={part.name or "": self._of_part(part) for part in inside})
        whole = self._of_part(inside[0])
        if parameters.get("on_item_error", "fail") not in ("fail", "ignore"):
            whole = or_failed(whole)
        return Items(item=whole) if node_type.binds(parameters) else whole

    def _of_part(self, part: Scope) -> Shape:
        raw = self._document.value(part.path)
        output = raw.get("output") if isinstance(raw, dict) else None
        if isinstance(output, dict):
            return self.of_template(output, part)
        reach = self.reach(part)
        return Fields(known={node.id: self.of_node(reach[node.id]) for node in part.graph.nodes})

    def _of_workflow(self, analysis: Analysis, scope: Scope, document: Document) -> Shape:
        inner = Outputs(document, self._registry, analysis.subworkflows)
        inner._depth = self._depth
        output = document.tree.get("output") if isinstance(document.tree, dict) else None
        if isinstance(output, dict):
            return inner.of_template(output, scope)
        reach = inner.reach(scope)
        return Fields(known={end: inner.of_node(reach[end]) for end in scope.graph.exits})

    def _item(self, scope: Scope, source: str) -> Shape:
        """The shape of the items of the list that the owner of ``scope`` goes through."""
        if scope.owner is None or scope.parent is None:
            return ANYTHING
        parameters = self._document.value(scope.owner.path).get("parameters")
        items = parameters.get(source) if isinstance(parameters, dict) else None
        if isinstance(items, list):
            return shape_of_literal(items[0]) if len(items) == 1 else ANYTHING
        return item_of(self.of_value(items, scope.parent))

    def _written(self, scope: Scope) -> Iterator[Mapping[str, Any]]:
        raw = self._document.value(scope.path)
        nodes = raw.get("nodes") if isinstance(raw, dict) else None
        for node in nodes if isinstance(nodes, list) else ():
            if isinstance(node, dict) and isinstance(node.get("node_id"), str):
                yield node

    @contextmanager
    def _looking(self, key: tuple[int, str]) -> Iterator[None]:
        self._busy.add(key)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._busy.discard(key)
