"""Where secrets go: from what is declared sensitive, through nodes and edges, to what people or other systems see.

A secret is a field of the instance input with ``writeOnly``, ``format: password`` or ``x-sensitive``, a variable of the
environment that is named like a credential, and what ``secret(…)`` gives. Copies of it are followed: through templates,
mappings, merged inputs and nodes that pass their input on. A comparison, a length or a hash of it gives it away to
nobody; what a service answers to it is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..document import walk_strings
from ..expressions.errors import ExpressionError
from ..expressions.mapping import is_path
from ..expressions.parser import parse
from ..expressions.references import node_key
from ..expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Empty,
    Literal,
    Logic,
    Method,
    Node,
    Unary,
    chain_of,
    children,
)
from ..expressions.templates import Hole, parse_template
from .branches import Judgement

if TYPE_CHECKING:
    from ...tasks.registry import Registry
    from ...tasks.sdk import NodeType
    from ..diagnostics import Path
    from ..document import Document
    from ..graph import GraphNode
    from ..scopes import Scope

CODE = "MR280"
CREDENTIAL = re.compile(
    r"(?:^|[_-])(?:password|passwd|pwd|secret|token|credentials?|(?:api|access|secret|private)[_-]?key)$",
    re.IGNORECASE,
)
_HARMLESS = frozenset({
    "size", "has", "sha256", "contains", "startsWith", "endsWith", "matches", "all", "exists", "exists_one", "indexOf",
    "lastIndexOf",
})  # fmt: skip
"""Functions whose result gives nothing away."""
_DEEPEST = 32


_TOKENS = re.compile(
    r"AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,}"
    r"|AIza[\w-]{35}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/\s:@{}]+:[^/\s@{}]+@"
)
"""What tokens of well-known services, keys, and addresses with a password look like."""
_SHORTEST = 6


@dataclass(frozen=True, slots=True)
class Secret:
    """What it is, as people write it, and the nodes that it came through."""

    name: str
    through: tuple[str, ...] = ()

    def at(self, node_id: str) -> Secret:
        """The same secret after one more node."""
        return Secret(self.name, (*self.through, node_id)) if len(self.through) < _DEEPEST else self


Tainted: TypeAlias = Mapping[tuple[str, ...], Secret]
"""The places in a value that hold a secret: their fields, items of lists left out."""
_NONE: Tainted = {}
_UNBOUND: Mapping[str, Tainted] = {}


class Flows:
    """The secrets in what the nodes of one definition get and give."""

    def __init__(self, document: Document, scope: Scope, registry: Registry) -> None:
        self._document = document
        self._registry = registry
        self._root = scope
        tree = document.tree if isinstance(document.tree, dict) else {}
        self.input: Tainted = dict(_sensitive(tree.get("input"), ()))
        self._inputs: dict[Path, Tainted] = {}
        self._outputs: dict[Path, Tainted] = {}
        for part in scope.walk():
            for node_id in part.graph.order:
                self._visit(part, part.graph.by_id[node_id])

    def _visit(self, scope: Scope, node: GraphNode) -> None:
        """Scopes come before those inside them; what constructs give is looked up where it is asked for."""
        self._inputs[node.path] = self._given(scope, node)

    def given(self, node: GraphNode) -> Tainted:
        """The secrets in the input of a node."""
        return self._inputs.get(node.path, _NONE)

    def _given(self, scope: Scope, node: GraphNode) -> Tainted:
        explicit = self._document.value(node.path).get("input")
        if isinstance(explicit, dict):
            return self.in_tree(explicit, scope)
        incoming = scope.graph.incoming(node.id)
        if not incoming:
            if scope.owner is None or scope.parent is None:
                return self.input
            return self._inputs.get(scope.owner.path, _NONE)
        found: dict[tuple[str, ...], Secret] = {}
        for edge in incoming:
            output = self.output(scope, scope.graph.by_id[edge.source])
            found |= output if edge.mapping is None else self._mapped(edge.mapping, output, scope)
        return found

    def _mapped(self, mapping: Mapping[str, Any], output: Tainted, scope: Scope) -> Tainted:
        found: dict[tuple[str, ...], Secret] = {}
        for target, value in mapping.items():
            if isinstance(value, str) and is_path(value):
                inner = _under(output, tuple(re.findall(r"\w+", value[1:])))
            else:
                inner = self.in_tree(value, scope)
            found |= {(*str(target).split("."), *path): secret for path, secret in inner.items()}
        return found

    def output(self, scope: Scope, node: GraphNode) -> Tainted:
        """The secrets in what a node gives."""
        if node.path not in self._outputs:
            self._outputs[node.path] = _NONE  # of a node that reads itself, which is reported
            found = self._output(scope, node)
            self._outputs[node.path] = {path: secret.at(node.id) for path, secret in found.items()}
        return self._outputs[node.path]

    def _output(self, scope: Scope, node: GraphNode) -> Tainted:
        if node.type not in self._registry:
            return _NONE
        node_type, raw = self._registry[node.type], self._document.value(node.path)
        parameters = raw.get("parameters")
        template = node_type.gives(parameters if isinstance(parameters, dict) else {})
        if template is not None:
            return self.in_tree(template, scope)
        found: dict[tuple[str, ...], Secret] = dict(self.given(node)) if node_type.passes_on else {}
        for part in scope.parts_of(node.id):
            named = (part.name,) if node_type.parts == "branches" and part.name else ()
            found |= {(*named, *path): secret for path, secret in self.of_part(part).items()}
        return found

    def of_part(self, part: Scope, *, ends_only: bool = False) -> Tainted:
        """The secrets in what a part gives, or the definition itself (then of its last nodes)."""
        raw = self._document.value(part.path)
        output = raw.get("output") if isinstance(raw, dict) else None
        if isinstance(output, dict):
            return self.in_tree(output, part)
        nodes = [part.graph.by_id[end] for end in part.graph.exits] if ends_only else part.graph.nodes
        return {
            (node.id, *path): secret for node in nodes for path, secret in self.output(part, node).items()
        }

    def in_tree(self, value: Any, scope: Scope) -> Tainted:
        """The secrets in what a JSON tree with templates renders to."""
        found: dict[tuple[str, ...], Secret] = {}
        for place, text in walk_strings(value):
            for path, secret in self.in_text(text, scope).items():
                found.setdefault((*(part for part in place if isinstance(part, str)), *path), secret)
        return found

    def in_text(self, text: str, scope: Scope) -> Tainted:
        """The secrets in what a text with templates renders to."""
        if "{{" not in text:
            return _NONE
        found: dict[tuple[str, ...], Secret] = {}
        try:
            for part in parse_template(text):
                if isinstance(part, Hole):
                    found |= self._of(parse(part.expression), scope)
        except ExpressionError:
            return _NONE
        return found

    def _of(self, tree: Node, scope: Scope, bound: Mapping[str, Tainted] = _UNBOUND) -> Tainted:
        """The secrets in the value of an expression; ``bound`` are the variables of the macros around it."""
        if (chain := chain_of(tree)) is not None:
            return self._read(chain, scope, bound)
        match tree:
            case Literal() | Logic() | Empty() | Unary():
                return _NONE
            case Binary(operator=operator) if operator != "+":
                return _NONE
            case Call(function="secret"):
                return {(): Secret("secret(…)")}
            case Call(function=name) | Method(method=name) if name in _HARMLESS:
                return _NONE
            case Method(operand=operand, arguments=arguments) if (variable := tree.binds) is not None:
                items = self._of(operand, scope, bound)
                made = self._of(arguments[-1], scope, {**bound, variable: items})
                return made if tree.method == "map" else items
            case Conditional(then=then, otherwise=otherwise):
                return {**self._of(then, scope, bound), **self._of(otherwise, scope, bound)}
            case _:
                found: dict[tuple[str, ...], Secret] = {}
                for child in children(tree):
                    found |= self._of(child, scope, bound)
                return found

    def _read(self, chain: Chain, scope: Scope, bound: Mapping[str, Tainted]) -> Tainted:
        path = tuple(part for part in chain.path if isinstance(part, str))
        if chain.root in bound:
            return _under(bound[chain.root], path)
        if chain.root == "env":
            return {(): Secret(f"env.{path[0]}")} if path and CREDENTIAL.search(path[0]) else _NONE
        if chain.root == "input":
            return _under(self.input, path)
        if chain.root == "nodes":
            for around in scope.around() if path else ():
                if (node_id := node_key(around.graph.by_id, path[0])) is not None:
                    return _under(self.output(around, around.graph.by_id[node_id]), path[1:])
            return _NONE
        for around in scope.around():
            if (
                (source := around.names.get(chain.root))
                and around.owner is not None
                and around.parent is not None
            ):
                parameters = self._document.value(around.owner.path).get("parameters")
                items = parameters.get(source) if isinstance(parameters, dict) else None
                return _under(self.in_tree(items, around.parent), path)
        return _NONE


def _under(tainted: Tainted, path: tuple[str, ...]) -> Tainted:
    """The secrets at ``path`` and under it; all of it, where a secret holds it."""
    found: dict[tuple[str, ...], Secret] = {}
    for place, secret in tainted.items():
        if place[: len(path)] == path:
            found[place[len(path) :]] = secret
        elif path[: len(place)] == place:
            found[()] = secret
    return found


def _sensitive(schema: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Secret]]:
    """The fields that a JSON Schema declares sensitive."""
    if not isinstance(schema, dict) or len(path) > _DEEPEST:
        return
    if (
        schema.get("writeOnly") is True
        or schema.get("format") == "password"
        or schema.get("x-sensitive") is True
    ):
        yield path, Secret(".".join(("input", *path)))
        return
    properties = schema.get("properties")
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        yield from _sensitive(inner, (*path, str(name)))
    yield from _sensitive(schema.get("items"), path)


def judge(document: Document, scope: Scope, registry: Registry) -> Iterator[Judgement]:
    """MR280: secrets that come to where people or other systems see them, with the way that they take."""
    flows = Flows(document, scope, registry)
    for part in scope.walk():
        for node in part.graph.nodes:
            if node.type in registry:
                yield from _in_node(flows, document, part, node, registry[node.type])
    tree: Any = document.tree
    output = tree.get("output") if isinstance(tree, dict) else None
    if isinstance(output, dict):
        for place, text in walk_strings(output):
            for secret in _first(flows.in_text(text, scope)):
                yield _told(secret, "the output of the instance", ("output", *place))
        return
    for end in scope.graph.exits:
        node = scope.graph.by_id[end]
        for secret in _first(flows.output(scope, node)):
            where = (*node.path, "node_id")
            yield _told(secret, "the output of the instance, which is that of its last nodes", where)


def written_out(document: Document, scope: Scope) -> Iterator[Judgement]:
    """MR281: credentials that stand in the definition, in clear."""
    tree: Any = document.tree
    places: list[Path] = [("variables",)] if isinstance(tree, dict) and "variables" in tree else []
    for part in scope.walk():
        for node in part.graph.nodes:
            raw = document.value(node.path)
            places += [(*node.path, name) for name in ("parameters", "input") if name in raw]
    for base in places:
        for place, text in walk_strings(document.value(base)):
            name = next((part for part in reversed(place) if isinstance(part, str)), "")
            named = CREDENTIAL.search(name) or name.casefold() == "authorization"
            if (
                "{{" not in text
                and not is_path(text)
                and (_TOKENS.search(text) or (named and len(text) >= _SHORTEST))
            ):
                message = f"{name or 'this'!r} is a credential, and stands here for everybody who reads the definition"
                hint = "name a variable of the worker instead (token_from, password_from, urls_from), or read env.…"
                yield Judgement("MR281", "refuted", message, (*base, *place), hint, "warning")


def _in_node(
    flows: Flows, document: Document, scope: Scope, node: GraphNode, node_type: NodeType
) -> Iterator[Judgement]:
    raw = document.value(node.path)
    parameters = raw.get("parameters") if isinstance(raw.get("parameters"), dict) else {}
    for name, shown in node_type.shown.items():
        if name not in parameters and shown.default_input:
            for secret in _first(flows.given(node)):
                yield _told(secret, f"{shown.what}, which is the node's input", (*node.path, "type"))
        for place, text in walk_strings(parameters.get(name)):
            for secret in _first(flows.in_text(text, scope)):
                if "secret(" not in text:  # which is refused there
                    yield _told(secret, shown.what, (*node.path, "parameters", name, *place))


def _first(tainted: Tainted) -> tuple[Secret, ...]:
    return tuple(dict.fromkeys(tainted.values()))[:1]


def _told(secret: Secret, what: str, where: Path) -> Judgement:
    way = f" ({' → '.join((secret.name, *secret.through))})" if secret.through else ""
    message = f"{secret.name} is a secret, and comes into {what}{way}"
    hint = "leave it out, or hand on only what may be seen; a credential belongs into the node that uses it"
    return Judgement(CODE, "refuted", message, where, hint, "warning")
