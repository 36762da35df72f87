"""The syntax tree of an expression: CEL, with people's operators (``and``, ``is null``, ``not in``) read as CEL's.

It is for whoever reasons about expressions (branch proofs, constant folding, editors); evaluation goes
through :mod:`.rewrite` and CEL itself. Operators bind as in CEL's grammar (cel-spec, ``langdef.md``, Syntax).
:mod:`.parser` makes the tree, :mod:`.printing` writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from .functions import MACROS

Span: TypeAlias = tuple[int, int]
"""Offsets in the expression's text: of the first character, and after the last one."""
_SPAN: Final = (0, 0)


@dataclass(frozen=True, slots=True)
class Literal:
    """``null``, ``true``, a number (``unsigned`` for ``5u``), a string or bytes."""

    value: bool | int | float | str | bytes | None
    unsigned: bool = False
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Name:
    """A name of the scope, the variable of a macro, or a type such as ``string``."""

    name: str
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Select:
    """``operand.key``, ``operand['key']`` or ``operand[0]``: what a reference is made of."""

    operand: Node
    key: str | int
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Index:
    """``operand[index]`` with an index that is computed."""

    operand: Node
    index: Node
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Call:
    """``function(arguments)``."""

    function: str
    arguments: tuple[Node, ...]
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Method:
    """``operand.method(arguments)``; also the macros, whose first argument is the :class:`Name` they bind."""

    operand: Node
    method: str
    arguments: tuple[Node, ...]
    span: Span = field(default=_SPAN, compare=False)

    @property
    def binds(self) -> str | None:
        """The variable of a macro."""
        first = self.arguments[0] if self.arguments else None
        return first.name if self.method in MACROS and isinstance(first, Name) else None


@dataclass(frozen=True, slots=True)
class Unary:
    """``!operand`` (also ``not``) or ``-operand``; a negative number is a :class:`Literal`."""

    operator: str
    operand: Node
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Binary:
    """``== != < <= > >= in + - * / %``. ``x is null`` is ``x == null``, ``x not in y`` is ``!(x in y)``."""

    operator: str
    left: Node
    right: Node
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Empty:
    """``operand is empty``: null, absent, or without characters, items or fields."""

    operand: Node
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Logic:
    """``a && b && c`` or ``a || b || c``: as many operands as stand side by side, two at least."""

    operator: str
    operands: tuple[Node, ...]
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class Conditional:
    """``test ? then : otherwise``."""

    test: Node
    then: Node
    otherwise: Node
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class ListOf:
    """``[items]``."""

    items: tuple[Node, ...]
    span: Span = field(default=_SPAN, compare=False)


@dataclass(frozen=True, slots=True)
class MapOf:
    """``{key: value}``."""

    entries: tuple[tuple[Node, Node], ...]
    span: Span = field(default=_SPAN, compare=False)


Node: TypeAlias = (
    Literal
    | Name
    | Select
    | Index
    | Call
    | Method
    | Unary
    | Binary
    | Empty
    | Logic
    | Conditional
    | ListOf
    | MapOf
)


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference: the name it begins with, and the fields and indices after it."""

    root: str
    path: tuple[str | int, ...] = ()

    def text(self) -> str:
        """As people write it.

        >>> Chain("nodes", ("质检", "得分", 0, "max-size")).text()
        "nodes.质检.得分[0]['max-size']"
        """
        shown = self.root
        for part in self.path:
            shown += f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{part!r}]"
        return shown


def chain_of(node: Node) -> Chain | None:
    """The reference that ``node`` is, or ``None``."""
    path: list[str | int] = []
    while isinstance(node, Select):
        path.append(node.key)
        node = node.operand
    return Chain(node.name, tuple(reversed(path))) if isinstance(node, Name) else None


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly under ``node``, from left to right."""
    match node:
        case Select(operand=operand) | Unary(operand=operand) | Empty(operand=operand):
            return (operand,)
        case Index():
            return (node.operand, node.index)
        case Call():
            return node.arguments
        case Method():
            return (node.operand, *node.arguments)
        case Binary():
            return (node.left, node.right)
        case Logic():
            return node.operands
        case Conditional():
            return (node.test, node.then, node.otherwise)
        case ListOf():
            return node.items
        case MapOf():
            return tuple(part for entry in node.entries for part in entry)
        case Literal() | Name():
            return ()


def walk(node: Node) -> Iterator[Node]:
    """``node`` and everything under it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def references(node: Node, bound: frozenset[str] = frozenset()) -> Iterator[tuple[Chain, Node]]:
    """The longest references in ``node`` that are not to a macro's variable, each with its node."""
    if (chain := chain_of(node)) is not None:
        if chain.root not in bound:
            yield chain, node
        return
    if isinstance(node, Method) and (variable := node.binds) is not None:
        yield from references(node.operand, bound)
        for argument in node.arguments[1:]:
            yield from references(argument, bound | {variable})
        return
    for child in children(node):
        yield from references(child, bound)
