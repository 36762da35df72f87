"""What the compiler finds in expressions, each with its place inside the definition file.

Every expression is rewritten as for evaluation, but its references become variables of the types that are declared:
by the producers' output models, by the instance input's JSON Schema, by the constants. CEL's checker then finds what
cannot work. Where nothing is declared, everything is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..validate import UNNAMED
from .errors import ExpressionError, close, did_you_mean
from .mapping import compile_path, is_path
from .positions import Places
from .references import Reference, node_key
from .shapes import ANYTHING, Shape, Unknown, shape_of_model, shape_of_schema, shape_of_value
from .templates import Hole, condition_of, parse_template
from .typecheck import Finding, typecheck

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ..diagnostics import Diagnostic, Path, Severity
    from ..document import Document
    from ..graph import Graph
    from ..model import Definition

CODES: Mapping[str, str] = {
    "syntax": "MR301",
    "name": "MR302",
    "node": "MR201",
    "field": "MR303",
    "condition": "MR304",
    "type": "MR305",
    "mapping": "MR307",
    "function": "MR308",
    "limit": "MR309",
    "order": "MR310",
}
"""The diagnostic's code by the kind of fault."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who evaluates an expression: the nodes it can read are those before ``node`` (and ``node`` itself, for its
    edges and compensation); without a node, all of them."""

    node: str | None = None
    includes_itself: bool = False


def check(
    definition: Definition | None, graph: Graph | None, document: Document, registry: Registry
) -> list[Diagnostic]:
    """Every finding in the expressions of a canonical ``document``: syntax, names, nodes, order, fields, types,
    conditions and JMESPath. ``definition`` is not needed to be valid; what is malformed is left to other checks.
    """
    del definition  # The document says the same and has the positions.
    return list(_Checker(graph, document, registry).run())


class _Checker:
    def __init__(self, graph: Graph | None, document: Document, registry: Registry) -> None:
        self.graph = graph
        self.document = document
        self.registry = registry
        self.places = Places(document.text)
        self.tree: Mapping[str, Any] = document.tree if isinstance(document.tree, dict) else {}
        nodes = self.tree.get("nodes")
        self.nodes: list[Any] = nodes if isinstance(nodes, list) else []
        self.by_id: dict[str, Mapping[str, Any]] = {}
        for node in self.nodes:
            if isinstance(node, dict) and isinstance(node.get("node_id"), str):
                self.by_id.setdefault(node["node_id"], node)
        self.shapes = {"input": shape_of_schema(self.tree.get("input"))}
        variables = self.tree.get("variables")
        if variables is None or isinstance(variables, dict):
            self.shapes["vars"] = shape_of_value(variables or {})

    def run(self) -> Iterator[Diagnostic]:
        """All findings, in document order of the parts."""
        for index, node in enumerate(self.nodes):
            if isinstance(node, dict):
                yield from self._node(node, ("nodes", index))
        edges = self.tree.get("edges")
        for index, edge in enumerate(edges if isinstance(edges, list) else []):
            if isinstance(edge, dict):
                yield from self._edge(edge, ("edges", index))
        yield from self._templates(self.tree.get("output"), ("output",), Reader())
        handling = self.tree.get("error_handling")
        if isinstance(handling, dict):
            yield from self._templates(handling.get("notify"), ("error_handling", "notify"), Reader())

    def _node(self, node: Mapping[str, Any], path: Path) -> Iterator[Diagnostic]:
        node_id = node.get("node_id")
        reader = Reader(node_id if isinstance(node_id, str) else None)
        yield from self._condition(node.get("when"), (*path, "when"), reader)
        for part in ("input", "parameters", "on_error"):
            yield from self._templates(node.get(part), (*path, part), reader)
        itself = replace(reader, includes_itself=True)
        yield from self._templates(node.get("compensate"), (*path, "compensate"), itself)

    def _edge(self, edge: Mapping[str, Any], path: Path) -> Iterator[Diagnostic]:
        source = edge.get("source")
        reader = Reader(source if isinstance(source, str) else None, includes_itself=True)
        condition = edge.get("condition")
        if not (isinstance(condition, str) and condition.strip().casefold() == "else"):
            yield from self._condition(condition, (*path, "condition"), reader)
        mapping = edge.get("mapping")
        if not isinstance(mapping, dict):
            return
        for target, value in mapping.items():
            place = (*path, "mapping", target)
            if isinstance(value, str) and is_path(value):
                yield from self._jmespath(value, place, source)
            else:
                yield from self._templates(value, place, reader)

    def _condition(self, value: Any, path: Path, reader: Reader) -> Iterator[Diagnostic]:
        if not isinstance(value, str):
            return
        try:
            hole = condition_of(value)
        except ExpressionError as error:
            yield self._report(_from_error(error), path, 0)
            return
        yield from self._expression(hole, path, reader, condition=True)

    def _templates(self, value: Any, path: Path, reader: Reader) -> Iterator[Diagnostic]:
        for place, text in _strings(value, path):
            if "{{" not in text:
                continue
            try:
                parts = parse_template(text)
            except ExpressionError as error:
                yield self._report(_from_error(error), place, 0)
                continue
            for part in parts:
                if isinstance(part, Hole):
                    yield from self._expression(part, place, reader)

    def _expression(
        self, hole: Hole, path: Path, reader: Reader, *, condition: bool = False
    ) -> Iterator[Diagnostic]:
        found: list[Finding] = []

        def shape(reference: Reference) -> Shape:
            result, finding = self._resolve(reference, reader)
            found.extend(finding)
            return result

        checked = typecheck(hole.expression, shape, self.by_id, condition=condition)
        # What a name that is wrong would have been is not known: its uses are not judged beside it.
        lost = any(finding.kind == "node" for finding in found)
        found += [finding for finding in checked if not (lost and finding.kind in ("type", "condition"))]
        seen: set[tuple[str, int | None]] = set()
        for finding in found:
            if (finding.message, finding.start) not in seen:
                seen.add((finding.message, finding.start))
                yield self._report(finding, path, hole.offset, whole=len(hole.expression))

    # --- references ---------------------------------------------------------------------------------------------

    def _resolve(self, reference: Reference, reader: Reader) -> tuple[Shape, list[Finding]]:
        """The shape of ``reference`` for ``reader``, and what is wrong with it."""
        if reference.root == "nodes":
            return self._resolve_node(reference, reader)
        shape = self.shapes.get(reference.root, ANYTHING)
        return self._walk(reference, shape, 0)

    def _resolve_node(self, reference: Reference, reader: Reader) -> tuple[Shape, list[Finding]]:
        if not reference.path:
            return ANYTHING, []
        name = str(reference.path[0])
        node_id = node_key(self.by_id, name)
        if node_id is None:
            known = [one for one in self.by_id if not one.startswith(UNNAMED)]
            hyphened = [one for one in known if one.startswith(f"{name}-")]
            if len(hyphened) == 1:
                spelled = hyphened[0].replace("-", "_")
                hint = f"write nodes.{spelled} or nodes[{hyphened[0]!r}]: a bare hyphen subtracts"
            else:
                hint = did_you_mean(name, known) or "the nodes are " + ", ".join(known[:8])
            return ANYTHING, [_at(reference, 1, "node", f"there is no node {name!r}", hint)]
        if problem := self._order_problem(node_id, reader):
            return ANYTHING, [_at(reference, 1, "order", *problem)]
        node = self.by_id[node_id]
        kind = node.get("type")
        if not isinstance(kind, str) or kind not in self.registry or node.get("fail_on_error") is False:
            return ANYTHING, []
        return self._walk(reference, shape_of_model(self.registry[kind].output), 1)

    def _order_problem(self, node_id: str, reader: Reader) -> tuple[str, str] | None:
        if self.graph is None or reader.node is None or reader.node not in self.graph:
            return None
        if node_id == reader.node:
            if reader.includes_itself:
                return None
            return (
                f"node {node_id!r} reads its own output, which does not exist yet",
                "read input.… or a node before it",
            )
        if self.graph.reaches(node_id, reader.node):
            return None
        hint = f"add the edge {{source: {node_id}, target: {reader.node}}}"
        if self.graph.reaches(reader.node, node_id):
            return (
                f"node {node_id!r} runs after {reader.node!r}, so it has no output yet",
                "read a node before it",
            )
        return (
            f"node {node_id!r} need not have run before {reader.node!r}: no path leads from one to the other",
            hint,
        )

    def _walk(self, reference: Reference, shape: Shape, first: int) -> tuple[Shape, list[Finding]]:
        for index in range(first, len(reference.path)):
            part = reference.path[index]
            step = shape.step(part)
            if isinstance(step, Shape):
                shape = step
                continue
            return ANYTHING, _absent(reference, index, part, step, shape)
        return shape, []

    def _jmespath(self, value: str, path: Path, source: Any) -> Iterator[Diagnostic]:
        try:
            compile_path(value)
        except ExpressionError as error:
            yield self._report(replace(_from_error(error), kind="mapping"), path, 0)
            return
        node = self.by_id.get(source) if isinstance(source, str) else None
        kind = node.get("type") if node else None
        if (
            not isinstance(kind, str)
            or kind not in self.registry
            or (node or {}).get("fail_on_error") is False
        ):
            return
        shape, position = shape_of_model(self.registry[kind].output), 2
        for name in value[2:].split("."):
            if not name.replace("_", "a").isalnum():
                return
            step = shape.step(name)
            if isinstance(step, Unknown):
                hint = did_you_mean(name, step.known) or _fields_hint(step.known)
                message = f"the output of {source!r} ({kind}) has no field {name!r}"
                yield self._report(Finding("field", message, position, position + len(name), hint), path, 0)
                return
            shape, position = step, position + len(name) + 1

    # --- reporting ----------------------------------------------------------------------------------------------

    def _report(self, finding: Finding, path: Path, offset: int, whole: int = 0) -> Diagnostic:
        """``finding`` at its place; one without a place belongs to the whole expression of ``whole`` characters."""
        start = offset + (finding.start or 0)
        end = offset + (whole if finding.start is None else finding.end or finding.start + 1)
        code, severity = CODES.get(finding.kind, "MR301"), finding.severity
        report = self.document.report(
            code, finding.message, path, hint=finding.hint, severity=severity, within=(start, end)
        )
        value = self.document.value(path)
        if not isinstance(value, str):
            return report
        span = self.places.within(self.document.span(path), value, start, end)
        if span is None:
            return report
        return replace(report, line=span[0], column=span[1], end_line=span[2], end_column=span[3])


def _strings(value: Any, path: Path) -> Iterable[tuple[Path, str]]:
    from ..document import walk_strings

    return walk_strings(value, path)


def _from_error(error: ExpressionError) -> Finding:
    start = None if error.column is None else error.column - 1
    end = None if error.end is None else error.end - 1
    return Finding(error.kind, error.problem, start, end, error.hint)


def _at(
    reference: Reference, part: int, kind: str, message: str, hint: str | None, severity: Severity = "error"
) -> Finding:
    start, end = reference.places[part]
    return Finding(kind, message, start, end, hint, severity)


def _fields_hint(known: Iterable[str]) -> str | None:
    names = list(known)
    if not names:
        return None
    return f"its fields are {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")


def _absent(reference: Reference, index: int, part: str | int, step: Unknown, shape: Shape) -> list[Finding]:
    """What to say about a part that the shape does not have; nothing, where the shape is only incomplete."""
    shown = reference.text(index)
    if step.kind != "a map":
        message = f"{shown} is {step.kind} and has no field {part!r}"
        hint = f"write size({shown})" if part in ("length", "size", "count") else None
        return [_at(reference, index + 1, "field", message, hint)]
    if not step.certain:
        if not close(str(part), step.known):
            return []
        message = f"{shown} does not declare {part!r}"
        return [_at(reference, index + 1, "field", message, did_you_mean(str(part), step.known), "warning")]
    message = f"{shown} has no field {part!r}"
    hint = did_you_mean(str(part), step.known)
    if hint is None and reference.hyphened:
        hint = f"a name with a hyphen is written in brackets: [{reference.hyphened!r}]"
    if hint is None and reference.root == "vars" and not step.known:
        hint = f"declare it: variables: {{{part}: …}}"
    severity: Severity = "error" if reference.mode == "value" else "warning"
    return [_at(reference, index + 1, "field", message, hint or _fields_hint(step.known), severity)]
