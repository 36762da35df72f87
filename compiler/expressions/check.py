"""What the compiler finds in expressions, each with its place inside the definition file.

Every expression is rewritten as for evaluation, but its references become variables of the types that are declared:
by the producers' output models, by the instance input's JSON Schema, by the constants. CEL's checker then finds what
cannot work. Where nothing is declared, everything is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..handlers import handler_of
from ..scopes import NAMES
from ..validate import UNNAMED
from .absent import at, walk
from .errors import ExpressionError, did_you_mean
from .failing import failing
from .jmespaths import path_findings
from .lookalikes import lookalike
from .mapping import compile_path, is_path, is_target
from .operands import operands
from .outputs import Known, Outputs
from .parser import parse
from .positions import Places
from .references import Reference, node_key
from .shapes import ANYTHING, Shape
from .syntax import chain_of
from .templates import Hole, condition_of, parse_template
from .typecheck import Finding, typecheck

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ...tasks.sdk import Deferred
    from ..diagnostics import Diagnostic, Path
    from ..document import Document
    from ..scopes import Scope

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
    "value": "MR311",
}
"""The diagnostic's code by the kind of fault."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Who evaluates an expression: the nodes it can read are those before ``node`` (and ``node`` itself, for its
    edges and compensation); without a node, all of them. ``names`` are in reach beyond those of the scope; with
    ``in_parts``, so are the nodes inside ``node``."""

    node: str | None = None
    includes_itself: bool = False
    names: tuple[str, ...] = ()
    in_parts: bool = False


def check(
    scope: Scope, document: Document, registry: Registry, outputs: Outputs | None = None
) -> list[Diagnostic]:
    """Every finding in the expressions of one ``scope`` of a canonical ``document``: syntax, names, nodes, order,
    fields, types, conditions and JMESPath. What is malformed is left to other checks.
    """
    return list(_Checker(scope, document, registry, outputs or Outputs(document, registry)).run())


class _Checker:
    def __init__(self, scope: Scope, document: Document, registry: Registry, outputs: Outputs) -> None:
        self.scope = scope
        self.document = document
        self.registry = registry
        self.outputs = outputs
        self.places = Places(document.text)
        self.by_id = outputs.reach(scope)
        self.ids = tuple(self.by_id)
        self.shapes = outputs.names(scope)
        value = document.value(scope.path)
        own = scope.owner is None
        self.handler = handler_of(document.tree, scope.graph).only if own else frozenset[str]()
        self.of_inputs: set[tuple[Path, str]] = set()
        self.part: Mapping[str, Any] = value if isinstance(value, dict) else {}

    def run(self) -> Iterator[Diagnostic]:
        """All findings, in document order of the parts."""
        base = self.scope.path
        nodes, edges = self.part.get("nodes"), self.part.get("edges")
        for index, node in enumerate(nodes if isinstance(nodes, list) else ()):
            if isinstance(node, dict):
                yield from self._node(node, (*base, "nodes", index))
        for index, edge in enumerate(edges if isinstance(edges, list) else ()):
            if isinstance(edge, dict):
                yield from self._edge(edge, (*base, "edges", index))
        yield from self._templates(self.part.get("output"), (*base, "output"), Reader())
        handling = self.part.get("error_handling")
        if isinstance(handling, dict):
            told = Reader(names=("error",))
            yield from self._templates(handling.get("notify"), (*base, "error_handling", "notify"), told)

    def _node(self, node: Mapping[str, Any], path: Path) -> Iterator[Diagnostic]:
        node_id, kind = node.get("node_id"), node.get("type")
        reader = self._reader(node_id)
        yield from self._templates(node.get("input"), (*path, "input"), reader)
        yield from self._condition(node.get("when"), (*path, "when"), reader)
        yield from self._templates(node.get("on_error"), (*path, "on_error"), reader)
        parameters = node.get("parameters")
        deferred = self.registry[kind].deferred if isinstance(kind, str) and kind in self.registry else {}
        if isinstance(parameters, dict) and deferred:
            for name, value in parameters.items():
                yield from self._parameter(value, (*path, "parameters", name), reader, deferred.get(name))
        else:
            yield from self._templates(parameters, (*path, "parameters"), reader)
        itself = replace(reader, includes_itself=True, names=(*reader.names, "output"))
        yield from self._templates(node.get("compensate"), (*path, "compensate"), itself)

    def _reader(self, node_id: Any) -> Reader:
        """A node that only runs when the instance has failed reads the error, and whatever ran before it."""
        if node_id in self.handler:
            return Reader(None, names=("error",))
        return Reader(node_id if isinstance(node_id, str) else None)

    def _parameter(
        self, value: Any, path: Path, reader: Reader, deferred: Deferred | None
    ) -> Iterator[Diagnostic]:
        if deferred is None:
            yield from self._templates(value, path, reader)
            return
        later = replace(reader, names=deferred.names, in_parts=deferred.in_parts)
        if deferred.condition:
            yield from self._condition(value, path, later)
        elif isinstance(value, str) and "{{" not in value:
            yield from self._expression(Hole(value, 0), path, later)
        else:
            yield from self._templates(value, path, later)

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
            if not is_target(target):
                message, hint = (
                    f"{target!r} is not a target path",
                    "write names with dots between, as user.id",
                )
                yield self.document.report("MR307", message, place, hint=hint, key=True)
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
                if finding := lookalike(text, self._is_known):
                    yield self._report(finding, place, 0)
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

        names = (*self.scope.readable, *reader.names)
        checked = typecheck(hole.expression, shape, self.by_id, names=names, condition=condition)
        if not any(finding.severity == "error" for finding in (*found, *checked)):
            checked += operands(hole.expression, shape, self.ids, names)
        # What a name that is wrong would have been is not known: its uses are not judged beside it.
        lost = any(finding.kind == "node" for finding in found)
        found += [finding for finding in checked if not (lost and finding.kind in ("type", "condition"))]
        if not found:
            found = list(failing(hole.expression))
        seen: set[tuple[str, int | None]] = set()
        for finding in found:
            if (finding.message, finding.start) not in seen and not self._told(finding, path):
                seen.add((finding.message, finding.start))
                yield self._report(finding, path, hole.offset, whole=len(hole.expression))

    def _told(self, finding: Finding, path: Path) -> bool:
        """Whether the same was said of an input of this node, whose expression a dialect has put here too."""
        node = path[: len(self.scope.path) + 2]
        if path[len(node) : len(node) + 1] == ("input",):
            self.of_inputs.add((node, finding.message))
            return False
        return (node, finding.message) in self.of_inputs and self.document.is_rewritten(path)

    def _is_known(self, expression: str) -> bool:
        """Whether a reference reads a node, an input, a variable or an item that is declared here."""
        chain = chain_of(parse(expression))
        if chain is None or not chain.path:
            return False
        if chain.root == "nodes":
            return node_key(self.by_id, str(chain.path[0])) is not None
        if chain.root in ("input", "vars"):
            return str(chain.path[0]) in self.shapes.get(chain.root, ANYTHING).fields
        return chain.root in self.scope.readable and chain.root not in NAMES

    # --- references ---------------------------------------------------------------------------------------------

    def _resolve(self, reference: Reference, reader: Reader) -> tuple[Shape, list[Finding]]:
        """The shape of ``reference`` for ``reader``, and what is wrong with it."""
        if reference.root == "nodes":
            return self._resolve_node(reference, reader)
        if "output" in reader.names and reference.root in ("input", "output"):
            known = self.by_id.get(reader.node or "")
            if reference.root == "input" or known is None:
                return ANYTHING, []  # A compensation's input is the node's own, over the instance's.
            return walk(reference, self.outputs.of_node(known), 0)
        shape = self.shapes.get(reference.root, ANYTHING)
        return walk(reference, shape, 0)

    def _resolve_node(self, reference: Reference, reader: Reader) -> tuple[Shape, list[Finding]]:
        if not reference.path:
            return ANYTHING, []
        name = str(reference.path[0])
        in_reach = self._in_reach(reader)
        node_id = node_key(in_reach, name)
        if node_id is None:
            known = [one for one in in_reach if not one.startswith(UNNAMED)]
            hyphened = [one for one in known if one.startswith(f"{name}-")]
            if len(hyphened) == 1:
                spelled = hyphened[0].replace("-", "_")
                hint = f"write nodes.{spelled} or nodes[{hyphened[0]!r}]: a bare hyphen subtracts"
            else:
                hint = did_you_mean(name, known) or "the nodes are " + ", ".join(known[:8])
            if inside := self._elsewhere(name):
                hint = f"it is inside {inside!r}, whose output holds what it gave: nodes.{inside.replace('-', '_')}"
            return ANYTHING, [at(reference, 1, "node", f"there is no node {name!r}", hint)]
        known_node = in_reach[node_id]
        if problem := self._order_problem(node_id, known_node, reader):
            return ANYTHING, [at(reference, 1, "order", *problem)]
        return walk(reference, self.outputs.of_node(known_node), 1)

    def _in_reach(self, reader: Reader) -> Mapping[str, Known]:
        if not reader.in_parts or reader.node is None:
            return self.by_id
        inside: dict[str, Known] = {}
        for part in self.scope.parts_of(reader.node):
            for node in part.graph.nodes:
                inside[node.id] = Known(self.document.value(node.path), part, None)
        return {**self.by_id, **inside}

    def _elsewhere(self, name: str) -> str | None:
        """The node of this scope, or of one around it, in whose parts there is a node ``name``."""
        for scope in self.scope.around():
            for child in scope.children:
                if child.owner and node_key(child.graph.by_id, name):
                    return child.owner.id
        return None

    def _order_problem(self, node_id: str, known: Known, reader: Reader) -> tuple[str, str] | None:
        graph = known.scope.graph
        if known.scope is not self.scope:
            if known.within is None:
                return None  # Inside the reader: its own parts, which have run.
            if node_id == known.within:
                return (
                    f"node {node_id!r} is read inside itself: its output does not exist before it is over",
                    "read loop.last, or a node before it",
                )
            reader = Reader(known.within)
        if reader.node is None or reader.node not in graph:
            return None
        if node_id == reader.node:
            if reader.includes_itself:
                return None
            return (
                f"node {node_id!r} reads its own output, which does not exist yet",
                "read input.… or a node before it",
            )
        if graph.reaches(node_id, reader.node):
            return None
        hint = f"add the edge {{source: {node_id}, target: {reader.node}}}"
        if graph.reaches(reader.node, node_id):
            return (
                f"node {node_id!r} runs after {reader.node!r}, so it has no output yet",
                "read a node before it",
            )
        return (
            f"node {node_id!r} need not have run before {reader.node!r}: no path leads from one to the other",
            hint,
        )

    def _jmespath(self, value: str, path: Path, source: Any) -> Iterator[Diagnostic]:
        try:
            compiled = compile_path(value)
        except ExpressionError as error:
            yield self._report(replace(_from_error(error), kind="mapping"), path, 0)
            return
        known = self.by_id.get(source) if isinstance(source, str) else None
        node = known.node if known else None
        kind = node.get("type") if node else None
        if compiled is None or known is None or not isinstance(kind, str):
            return
        for finding in path_findings(value, compiled, self.outputs.of_node(known), f"{source!r} ({kind})"):
            yield self._report(finding, path, 0)

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
        value, (start, end) = self.document.written(path, (start, end))
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
