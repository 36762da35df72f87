"""What the uses of a reference say about its kind: ``input.score >= 60`` takes a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...expressions.syntax import (
    Binary,
    Call,
    Chain,
    Conditional,
    Empty,
    ListOf,
    Literal,
    Logic,
    Method,
    Node,
    Unary,
    chain_of,
    children,
)
from .domains import Kind, kind_of

_NUMBERS = frozenset({"size", "int", "uint", "double", "abs", "round", "floor", "ceil", "sum", "avg"})
_STRINGS = frozenset(
    {"lower", "upper", "lowerAscii", "upperAscii", "trim", "replace", "substring", "join", "charAt"}
)
_OF_STRINGS = _STRINGS - {"join"} | {
    "startsWith",
    "endsWith",
    "matches",
    "contains",
    "indexOf",
    "lastIndexOf",
    "split",
}
_TESTS = frozenset(
    {"startsWith", "endsWith", "matches", "contains", "all", "exists", "exists_one", "has", "bool"}
)


class Uses:
    """The kinds that the uses in one condition ask of each reference; ``absent`` and ``null`` where they are
    asked for."""

    def __init__(self, tree: Node) -> None:
        self.kinds: dict[Chain, set[Kind]] = {}
        self._visit(tree, "bool", frozenset())

    @staticmethod
    def assumed(chain: Chain, uses: Iterable[Uses]) -> frozenset[Kind] | None:
        """The kinds of ``chain`` when every one of its ``uses`` is taken for right, if they agree on one."""
        found: set[Kind] = set().union(*(one.kinds.get(chain, ()) for one in uses))
        certain = found - {"absent", "null"}
        if len(certain) == 1 or (not certain and found):
            return frozenset(found)
        return None

    def _visit(self, node: Node, wanted: Kind | None, bound: frozenset[str]) -> None:
        if (chain := chain_of(node)) is not None:
            if chain.root not in bound:
                self._note(chain, wanted)
            return
        match node:
            case Logic():
                self._all(node.operands, "bool", bound)
            case Unary():
                self._visit(node.operand, "bool" if node.operator == "!" else "number", bound)
            case Conditional():
                self._visit(node.test, "bool", bound)
                self._all((node.then, node.otherwise), wanted, bound)
            case Binary():
                self._binary(node, bound)
            case Empty():
                self._forgive(node.operand, None, bound)
            case Call():
                self._call(node, wanted, bound)
            case Method():
                self._method(node, bound)
            case _:
                self._all(children(node), None, bound)

    def _binary(self, node: Binary, bound: frozenset[str]) -> None:
        left, right = node.left, node.right
        if node.operator in ("==", "!=") and any(_is_null(side) for side in (left, right)):
            for side in (left, right):
                self._forgive(side, None, bound)
        elif node.operator == "in":
            items: set[Kind | None] = (
                {_static(item) for item in right.items} if isinstance(right, ListOf) else set()
            )
            self._visit(left, items.pop() if len(items) == 1 else None, bound)
            self._visit(right, "list", bound)
        else:
            kinds: list[Kind | None] = [_static(left), _static(right)]
            if node.operator in ("-", "*", "/", "%") and not any(kinds):
                kinds = ["number", "number"]
            self._visit(left, kinds[1] or kinds[0], bound)
            self._visit(right, kinds[0] or kinds[1], bound)

    def _call(self, node: Call, wanted: Kind | None, bound: frozenset[str]) -> None:
        if node.function == "has" and node.arguments:
            chain = chain_of(node.arguments[0])
            if chain is not None and chain.root not in bound:
                self.kinds.setdefault(chain, set()).add("absent")
        elif node.function in ("default", "coalesce"):
            kinds: list[Kind | None] = [_static(argument) for argument in node.arguments]
            kind: Kind | None = next((kind for kind in kinds if kind is not None), None)
            for argument in node.arguments:
                self._forgive(argument, wanted or kind, bound)
        else:
            self._all(node.arguments, None, bound)

    def _method(self, node: Method, bound: frozenset[str]) -> None:
        inner = bound if node.binds is None else bound | {node.binds}
        if node.binds is not None:
            self._visit(node.operand, "list", bound)
            self._all(node.arguments[1:], None, inner)
            return
        of_string: Kind | None = "string" if node.method in _OF_STRINGS else None
        self._visit(node.operand, of_string, bound)
        self._all(node.arguments, of_string, bound)

    def _forgive(self, node: Node, wanted: Kind | None, bound: frozenset[str]) -> None:
        """``node`` where it may be null or absent."""
        chain = chain_of(node)
        if chain is not None and chain.root not in bound:
            self.kinds.setdefault(chain, set()).update(("absent", "null"))
        self._visit(node, wanted, bound)

    def _all(self, nodes: Iterable[Node], wanted: Kind | None, bound: frozenset[str]) -> None:
        for node in nodes:
            self._visit(node, wanted, bound)

    def _note(self, chain: Chain, wanted: Kind | None) -> None:
        found = self.kinds.setdefault(chain, set())
        if wanted is not None:
            found.add(wanted)


def _is_null(node: Node) -> bool:
    return isinstance(node, Literal) and node.value is None


def _static(node: Node) -> Kind | None:
    """The kind that ``node`` has whatever it reads; ``None`` where that is not plain to see."""
    match node:
        case Literal(value=value):
            kind: Kind = kind_of(value)
            return None if kind in ("null", "other") else kind
        case ListOf():
            return "list"
        case Logic() | Empty():
            return "bool"
        case Unary(operator=operator):
            return "bool" if operator == "!" else "number"
        case Binary(operator=operator, left=left, right=right):
            if operator in ("-", "*", "/", "%", "+"):
                return _static(left) or _static(right)
            return "bool"
        case Call(function=name) | Method(method=name):
            tables: Mapping[Kind, frozenset[str]] = {"number": _NUMBERS, "string": _STRINGS, "bool": _TESTS}
            return next((kind for kind, names in tables.items() if name in names), None)
        case Conditional(then=then, otherwise=otherwise):
            return _static(then) if _static(then) == _static(otherwise) else None
        case _:
            return None
