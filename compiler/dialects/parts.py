"""Where authors put the nodes and parameters of a control node, and where the canonical form has them.

A body may stand at the node or among its parameters, as ``{nodes, edges}``, as a bare list of nodes, or as ``nodes``
and ``edges`` right at the node; branches as a list or as a mapping of names; a control node's parameters may stand
beside its type.
"""

from __future__ import annotations

from typing import Any

from ...tasks.registry import Registry
from ...tasks.sdk import NodeType
from ..diagnostics import Diagnostic
from ..document import Document, MapMark, Mark, SeqMark, span_of
from ..model import NodeDefinition, Part
from .platform_next import VOCABULARY
from .rewriting import Draft, drop
from .spelling import SYNONYMS

FAMILY = "control/"
_OWN = frozenset(NodeDefinition.model_fields)
_AT_NODES = frozenset({*VOCABULARY["nodes"], *SYNONYMS["nodes"]})
"""Keys that mean something else at a node, whatever parameters its type has."""
_OF_A_PART = ("nodes", "edges", "output")


def gather_parts(
    document: Document, registry: Registry | None = None
) -> tuple[Document, tuple[Diagnostic, ...]]:
    """The document with every control node's parts and parameters where the canonical form has them; and those of other
    nodes, of which that is told."""
    if not _any_node(document.tree):
        return document, ()
    if registry is None:
        from ...tasks.registry import registry as installed

        registry = installed()
    draft = Draft(document)
    for part in draft.walk():
        for index, node, mark in part.maps("nodes"):
            kind = _kind(node)
            if kind in registry:
                _gather(_Node(part, index, node, mark), registry[kind])
    return draft.done()


def _any_node(tree: Any) -> bool:
    nodes = tree.get("nodes") if isinstance(tree, dict) else None
    return isinstance(nodes, list) and any(isinstance(node, dict) and _kind(node) for node in nodes)


def _kind(node: dict[str, Any]) -> str:
    kind = node.get("type", node.get("node_type"))
    return kind if isinstance(kind, str) else ""


class _Node:
    """A node being gathered, with its parameters as a copy."""

    def __init__(self, draft: Draft, index: int, tree: dict[str, Any], mark: MapMark) -> None:
        self.draft, self.tree, self.mark = draft, tree, mark
        self.path = (*draft.base, "nodes", index)
        parameters, parameters_mark = tree.get("parameters"), mark.children.get("parameters")
        self.open = parameters is None or isinstance(parameters, dict)
        self.parameters: dict[str, Any] = dict(parameters) if isinstance(parameters, dict) else {}
        marked = isinstance(parameters_mark, MapMark)
        self.parameters_mark = parameters_mark.copy() if marked else MapMark(span_of(mark))
        self.written = "parameters" in tree

    def close(self, *, always: bool) -> None:
        """Put the parameters back, where there are any, or ``always`` where there is room for some."""
        if self.open and (self.parameters or (self.written and always)):
            self.tree["parameters"], self.mark.children["parameters"] = self.parameters, self.parameters_mark
            self.mark.keys.setdefault("parameters", span_of(self.mark))


def _gather(node: _Node, node_type: NodeType) -> None:
    if not node.open:
        return
    key = node_type.parts
    if key is not None and key not in node.tree:
        if key in node.parameters:
            origin = (*node.path, "parameters", key)
            _move(node.parameters, node.parameters_mark, node.tree, node.mark, key, origin)
        elif key == "body":
            _direct(node)
    if key == "body" or isinstance(node.tree.get("body"), list):
        _as_part(node)
    if key == "branches" or isinstance(node.tree.get("branches"), dict):
        _as_branches(node)
    given_id = "node_id" in node.tree or "id" in node.tree
    misplaced = [
        name
        for name in node_type.parameters.model_fields
        if name in node.tree and name not in node.parameters and (name != "name" or given_id)
    ]
    misplaced = [name for name in misplaced if name not in _OWN]
    own = node_type.name.startswith(FAMILY)
    if not own:
        misplaced = [name for name in misplaced if name not in _AT_NODES]
        _tell(node, node_type, misplaced)
    for name in misplaced:
        _move(node.tree, node.mark, node.parameters, node.parameters_mark, name, (*node.path, name))
    node.close(always=own)


def _tell(node: _Node, node_type: NodeType, misplaced: list[str]) -> None:
    """Parameters right at the node, of a type that is not the language's own: one slip, told at the first of them."""
    if not misplaced:
        return
    names = sorted(misplaced, key=list(node.tree).index)
    shown = " and ".join(", ".join(map(repr, names)).rsplit(", ", 1))
    is_what = "are parameters" if len(names) > 1 else "is a parameter"
    message = f"{shown} {is_what} of {node_type.name}, beside 'parameters' and not in it"
    hint = f"write parameters: {{{', '.join(f'{name}: …' for name in names)}}}"
    node.draft.report("MR111", message, (*node.path, names[0]), hint=hint, key=True)


def _move(
    source: dict[str, Any], source_mark: MapMark, target: dict[str, Any], mark: MapMark, key: str, origin: Any
) -> None:
    target[key] = source.pop(key)
    mark.keys[key] = source_mark.keys.pop(key, source_mark.span)
    mark.children[key] = _from(source_mark.children.pop(key, source_mark.span), origin)


def _from(mark: Mark, origin: Any) -> Mark:
    """``mark`` of a value that the author wrote at ``origin``."""
    if isinstance(mark, MapMark):
        copy = mark.copy()
        copy.origin = mark.origin or origin
        return copy
    if isinstance(mark, SeqMark):
        return SeqMark(mark.span, list(mark.items), mark.origin or origin)
    return mark


def _direct(node: _Node) -> None:
    """``nodes`` and ``edges`` right at the node, or among its parameters, are its body."""
    for tree, mark, path in (
        (node.tree, node.mark, node.path),
        (node.parameters, node.parameters_mark, (*node.path, "parameters")),
    ):
        if not isinstance(tree.get("nodes"), list):
            continue
        body: dict[str, Any] = {}
        body_mark = MapMark(span_of(mark), origin=path)
        for key in _OF_A_PART:
            if key in tree:
                _move(tree, mark, body, body_mark, key, (*path, key))
        node.tree["body"], node.mark.children["body"] = body, body_mark
        node.mark.keys["body"] = body_mark.keys["nodes"]
        return


def _as_part(node: _Node) -> None:
    body, mark = node.tree.get("body"), node.mark.children.get("body")
    if mark is not None:
        node.tree["body"], node.mark.children["body"] = _part(body, mark, (*node.path, "body"))


def _as_branches(node: _Node) -> None:
    value, mark = node.tree.get("branches"), node.mark.children.get("branches")
    origin: Any = (*node.path, "branches")
    if isinstance(value, dict) and isinstance(mark, MapMark):
        origin = mark.origin or origin
        parts: list[Any] = []
        marks: list[Mark] = []
        for name, inner in value.items():
            tree, inner_mark = _part(inner, mark.children[name], (*origin, name))
            if isinstance(tree, dict) and isinstance(inner_mark, MapMark) and "name" not in tree:
                tree, inner_mark = {"name": name, **tree}, inner_mark.copy()
                inner_mark.keys["name"] = inner_mark.children["name"] = mark.keys[name]
                inner_mark.names = {**inner_mark.names, "name": None}
            parts.append(tree)
            marks.append(inner_mark)
        node.tree["branches"], node.mark.children["branches"] = parts, SeqMark(mark.span, marks, origin)
    elif isinstance(value, list) and isinstance(mark, SeqMark):
        if value and all(isinstance(item, str) for item in value):
            _as_edges(node, value, mark)
            return
        origin = mark.origin or origin
        pairs = [
            _part(inner, one, (*origin, number))
            for number, (inner, one) in enumerate(zip(value, mark.items, strict=True))
        ]
        node.tree["branches"] = [tree for tree, _ in pairs]
        node.mark.children["branches"] = SeqMark(mark.span, [one for _, one in pairs], origin)


def _part(value: Any, mark: Mark, origin: Any) -> tuple[Any, Mark]:
    """A bare list of nodes, or one bare node, as a part; what is none of these as it is."""
    if isinstance(value, list) and isinstance(mark, SeqMark):
        inner: Any = _from(mark, origin)
    elif isinstance(value, dict) and isinstance(mark, MapMark) and _is_node(value):
        value, inner = [value], SeqMark(mark.span, [_from(mark, origin)], origin)
    else:
        return value, mark
    whole = MapMark(span_of(mark), {"nodes": span_of(mark)}, {"nodes": inner}, origin, {"nodes": None})
    return {"nodes": value}, whole


def _is_node(value: dict[str, Any]) -> bool:
    return "nodes" not in value and bool(_kind(value)) and not value.keys() <= set(Part.model_fields)


def _as_edges(node: _Node, targets: list[Any], mark: SeqMark) -> None:
    """``branches: [a, b]`` names nodes beside this one: edges lead to them, and the fork has no nodes of its own."""
    own = node.tree.get("node_id")
    if not isinstance(own, str):
        return
    own_mark = node.mark.children.get("node_id", span_of(node.mark))
    node.draft.open_list("edges")
    for number, (target, target_mark) in enumerate(zip(targets, mark.items, strict=True)):
        origin = (*node.path, "branches", number)
        ends: dict[str, tuple[Any, Mark, str | None]] = {
            "source": (own, own_mark, None),
            "target": (target, target_mark, None),
        }
        node.draft.add_edge(origin, span_of(target_mark), ends)
    drop(node.tree, node.mark, "branches")
