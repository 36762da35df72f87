"""What CEL's checker leaves to the runtime: the variables of macros, whose lists are declared, and the operands of our
own functions, which take any type as far as CEL knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .absent import walk
from .composed import items_of
from .errors import ExpressionError
from .functions import FUNCTIONS, MACROS
from .parser import parse
from .references import Reference
from .shapes import ANYTHING, Shape
from .syntax import Call, Chain, Conditional, Empty, Logic, Method, Node, Select, chain_of, children
from .syntax import walk as walk_tree
from .typecheck import Finding, typecheck

Resolve = Callable[[Reference], Shape]

_SAME_ITEMS = frozenset({"filter", "sort", "distinct"})
"""What gives a list of the same items as the one it takes."""
_OR_ELSE = frozenset({"default", "coalesce"})
_ASKING = (Conditional, Logic, Empty)
_ABSORBING = frozenset({"exists", "all"})
"""The macros that one item decides, whatever is wrong with the others."""
_MOST_SHAPES = 8
"""Shapes of a list's items that are looked at."""
_CONDITIONS = MACROS - {"map"}
_IMPLEMENTED: Mapping[tuple[str, bool], Callable[..., Any]] = {
    (one.name, one.member): one.implementation for one in FUNCTIONS
}
_EXAMPLES: Mapping[str, tuple[str, Any]] = {
    "number": ("a number", 7),
    "number_or_null": ("a number", 7),
    "string": ("a string", "text"),
    "string_or_null": ("a string", "text"),
    "bool": ("true or false", True),
    "bool_or_null": ("true or false", True),
    "list": ("a list", []),
    "map": ("a map", {"uri": "file:///a"}),
}
"""By the declared type: its name, and a value of it that any function for such a type takes."""


def operands(
    expression: str, resolve: Resolve, node_ids: Sequence[str], names: Sequence[str]
) -> list[Finding]:
    """What is wrong in ``expression`` with the fields and types of macros' variables, and with what functions and
    macros are given. ``resolve`` tells the shape of a reference."""
    try:
        tree = parse(expression)
    except ExpressionError:
        return []
    return list(_Operands(expression, resolve, node_ids, names).of(tree))


class _Operands:
    def __init__(
        self, expression: str, resolve: Resolve, node_ids: Sequence[str], names: Sequence[str]
    ) -> None:
        self.expression = expression
        self.resolve = resolve
        self.node_ids = node_ids
        self.names = names

    def of(self, node: Node) -> Iterator[Finding]:
        """The findings in ``node``, from left to right."""
        if isinstance(node, Method) and (variable := node.binds) is not None:
            yield from self.of(node.operand)
            shape = self._shape(node.operand)
            if wrong := _no_range(node.method, shape):
                yield self._at_name(node, wrong, "read a list, or [x] for a list of one")
            for number, body in enumerate(node.arguments[1:]):
                condition = node.method in _CONDITIONS or (len(node.arguments) == 3 and number == 0)
                yield from self._bodies(node, body, variable, shape, condition=condition)
            return
        if isinstance(node, Call | Method) and (wrong := self._refusal(node)):
            yield self._at_name(
                node, wrong, "read a field of another type, or convert it: string(x), double(x)"
            )
        for child in children(node):
            yield from self.of(child)

    def _bodies(
        self, macro: Method, body: Node, variable: str, shape: Shape, *, condition: bool
    ) -> Iterator[Finding]:
        """The findings in a macro's body for each shape that the items of the list have. What is wrong for some of them
        only is told where the macro needs all of them, and nothing looks at what the item is before."""
        items = items_of(shape)
        found = [list(self._body(body, variable, item, condition=condition)) for item in items[:_MOST_SHAPES]]
        everywhere = set.intersection(*({_said(one) for one in findings} for findings in found))
        yield from (one for one in found[0] if _said(one) in everywhere)
        guarded = any(isinstance(part, _ASKING) or _asks(part) for part in walk_tree(body))
        if guarded or macro.method in _ABSORBING or chain_of(macro.operand) is None:
            return
        for item, findings in zip(items, found, strict=False):
            place = next((at for at, one in enumerate(shape.places) if one == item), shape.least)
            for one in findings if place < shape.least else ():
                if _said(one) not in everywhere:
                    yield replace(one, message=f"{one.message}, where {variable} is item {place} of the list")

    def _body(self, body: Node, variable: str, item: Shape, *, condition: bool) -> Iterator[Finding]:
        """The findings in a macro's body, as in an expression whose scope has the variable too."""
        start, end = body.span
        found: list[Finding] = []

        def shape(reference: Reference) -> Shape:
            if reference.root == variable:
                result, wrong = walk(reference, item, 0)
                found.extend(wrong)
                return result
            places = tuple((first + start, last + start) for first, last in reference.places)
            return self.resolve(replace(reference, places=places))

        text, names = self.expression[start:end], (*self.names, variable)
        if item is not ANYTHING:
            found += typecheck(text, shape, self.node_ids, names=names, condition=condition)
        found += operands(text, shape, self.node_ids, names)
        for finding in found:
            whole = finding.start is None
            yield replace(
                finding,
                start=start if whole else start + (finding.start or 0),
                end=end if whole or finding.end is None else start + finding.end,
            )

    def _shape(self, node: Node) -> Shape:
        """The shape of ``node``, as far as it is a reference or hands on the items of one."""
        if (chain := chain_of(node)) is not None:
            if chain.root not in self.names:
                return ANYTHING
            return self.resolve(_reference(node, chain, self.expression))
        match node:
            case Method(operand=first, method=name) if name in _SAME_ITEMS:
                return self._shape(first)
            case Call(function=name, arguments=(first, *_)) if name in _SAME_ITEMS | _OR_ELSE:
                return self._shape(first)
            case _:
                return ANYTHING

    def _refusal(self, node: Call | Method) -> str | None:
        """Why one of our functions refuses its first operand, by the operand's declared type."""
        member = isinstance(node, Method)
        name = node.method if isinstance(node, Method) else node.function
        first = node.operand if isinstance(node, Method) else next(iter(node.arguments), None)
        implementation = _IMPLEMENTED.get((name, member))
        if implementation is None or first is None or chain_of(first) is None:
            return None
        given = len(node.arguments) + member
        kind, example = _EXAMPLES.get(self._shape(first).cel_type, ("", None))
        if not kind:
            return None
        # Whatever the others are: a refusal of one stand-in may be of itself.
        problems = [_problem(implementation, (example, *[other] * (given - 1))) for other in ("", 0)]
        own = [
            one
            for one in problems
            if one and one.startswith(f"{name} takes ") and one.endswith(f"not {kind}")
        ]
        return own[0] if len(own) == len(problems) else None

    def _at_name(self, node: Call | Method, message: str, hint: str) -> Finding:
        name = node.method if isinstance(node, Method) else node.function
        after = node.operand.span[1] if isinstance(node, Method) else node.span[0]
        start = max(self.expression.find(name, after), after)
        return Finding("type", message, start, start + len(name), hint)


def _said(finding: Finding) -> tuple[str, int | None]:
    """What a finding says, and of which place; what is there instead may differ."""
    return finding.message, finding.start


def _asks(node: Node) -> bool:
    """Whether it is a function that takes what may not be there, or tells what something is."""
    return isinstance(node, Call) and node.function in ("has", "type", *_OR_ELSE)


def _problem(implementation: Callable[..., Any], arguments: tuple[Any, ...]) -> str | None:
    try:
        implementation(*arguments)
    except (ValueError, TypeError) as error:
        return str(error)
    return None


def _no_range(macro: str, shape: Shape) -> str | None:
    kind, _ = _EXAMPLES.get(shape.cel_type, ("", None))
    return f"{macro} goes through a list, not {kind}" if kind not in ("", "a list", "a map") else None


def _reference(node: Node, chain: Chain, expression: str) -> Reference:
    """``node`` as a reference that need not be there: what is absent in it, others say."""
    places: list[tuple[int, int]] = []
    while isinstance(node, Select):
        begin, end = node.operand.span[1], node.span[1]
        key = str(node.key)
        found = expression.find(key, begin, end)
        places.append((found, found + len(key)) if found >= 0 else (begin, end))
        node = node.operand
    return Reference(chain.root, chain.path, "maybe", (node.span, *reversed(places)))
