"""What expressions come to when everything that they read is known, computed by the engine that runs them.

Only what is certain to give the very same is replaced. ``false && input.x`` is not: reading ``input.x`` may fail by
itself. Nor is what depends on the moment, on chance or on the machine, nor a value that has no literal of its type. A
value that is only read (``{{ vars.quality }}``) stays a reference, so that whoever owns the source still
finds it in one place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..expressions.engine import compile_expression
from ..expressions.errors import ExpressionError
from ..expressions.functions import SPECIAL
from ..expressions.parser import parse
from ..expressions.printing import unparse
from ..expressions.references import MISSING, Reference, resolve
from ..expressions.syntax import (
    Call,
    Chain,
    Empty,
    Index,
    Literal,
    Method,
    Node,
    chain_of,
    children,
    references,
    walk,
)
from ..expressions.templates import Hole, condition_of, parse_template
from ..expressions.values import text_of

VOLATILE = frozenset({"now", "uuid", "format_time"})
"""Functions of the moment, of chance, and of the machine's time zones."""
MOST_TEXT = 200
"""Characters of a text that an expression is replaced by."""
_MAY_COMPUTE = re.compile(r"\b(?:vars|nodes|true|false|null)\b|(?:\d(?![\d.])|['\"\])])\s*\S")
"""Of an expression without any of these, all that is constant is one literal at its end: it need not be parsed."""


@dataclass(frozen=True)
class Constants:
    """What is known at one place of a definition: its variables, and the outputs (by field) of nodes that are sure to
    have given them there. ``shadowed`` names mean something else there."""

    variables: Mapping[str, Any]
    output_of: Callable[[str], Mapping[str, Any] | None]
    shadowed: frozenset[str] = frozenset()
    in_macro: bool = False

    def value(self, chain: Chain) -> Any:
        """The value of a reference, or :data:`MISSING`."""
        if chain.root in self.shadowed:
            return MISSING
        if chain.root == "vars":
            return _resolved(chain, {"vars": self.variables})
        if chain.root == "nodes" and len(chain.path) > 1:
            return _resolved(chain, {"nodes": self._node(chain)})
        return MISSING

    def scope(self, node: Node) -> dict[str, Any]:
        """What an expression that reads nothing but constants is evaluated in."""
        nodes: dict[str, Any] = {}
        for chain, _ in references(node):
            if chain.root == "nodes":
                nodes |= self._node(chain)
        return {"vars": self.variables, "nodes": nodes}

    def without(self, name: str) -> Constants:
        """These inside a macro that binds ``name``."""
        return replace(self, shadowed=self.shadowed | {name}, in_macro=True)

    def _node(self, chain: Chain) -> dict[str, Any]:
        name = str(chain.path[0])
        output = self.output_of(name)
        return {} if output is None else {name: output}


def fold_condition(condition: str, constants: Constants) -> str:
    """``condition``, as ``true`` or ``false`` where that is certain, or with what is constant in it computed."""
    try:
        expression = condition_of(condition).expression
        tree = _parsed(expression)
        if tree is None:
            return condition
        value = _value(tree, expression, constants)
        if isinstance(value, bool):
            return "true" if value else "false"
        return _folded(tree, expression, constants) or condition
    except ExpressionError:
        return condition


def fold(value: Any, constants: Constants) -> Any:
    """``value``, a JSON tree, with the templates in it computed as far as they compute with constants."""
    if isinstance(value, str):
        return _fold_text(value, constants) if "{{" in value else value
    if isinstance(value, dict):
        made = {key: fold(item, constants) for key, item in value.items()}
        return value if all(made[key] is item for key, item in value.items()) else made
    if isinstance(value, list):
        items = [fold(item, constants) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value


def constant(value: Any, constants: Constants) -> Any:
    """What rendering ``value`` gives, or :data:`MISSING` where that is not known."""
    if isinstance(value, str):
        return _constant_text(value, constants)
    if isinstance(value, dict):
        made = {key: constant(item, constants) for key, item in value.items()}
        return MISSING if any(item is MISSING for item in made.values()) else made
    if isinstance(value, list):
        items = [constant(item, constants) for item in value]
        return MISSING if any(item is MISSING for item in items) else items
    return value


def _constant_text(text: str, constants: Constants) -> Any:
    if "{{" not in text:
        return text
    try:
        pieces = [part if isinstance(part, str) else _hole(part, constants) for part in parse_template(text)]
    except ExpressionError:
        return MISSING
    if any(piece is MISSING for piece in pieces):
        return MISSING
    first, *others = pieces
    return "".join(map(text_of, pieces)) if others else first


def _fold_text(text: str, constants: Constants) -> Any:
    try:
        parts = parse_template(text)
    except ExpressionError:
        return text
    hole = parts[0]
    if len(parts) > 1 or not isinstance(hole, Hole):
        made = _constant_text(text, constants)
        return made if made is not MISSING and _fits(made) else text
    try:
        return _fold_hole(hole.expression, text, constants)
    except ExpressionError:
        return text


def _fold_hole(expression: str, text: str, constants: Constants) -> Any:
    """What becomes of ``text``, which is one template with that ``expression``."""
    tree = _parsed(expression)
    if tree is None or isinstance(tree, Literal) or chain_of(tree) is not None:
        return text
    value = _value(tree, expression, constants)
    if value is not MISSING and _fits(value):
        return value
    folded = _folded(tree, expression, constants)
    made = f"{{{{ {folded} }}}}"
    return text if folded is None or parse_template(made) != (Hole(folded, 3),) else made


def _hole(hole: Hole, constants: Constants) -> Any:
    tree = _parsed(hole.expression)
    return MISSING if tree is None else _value(tree, hole.expression, constants)


def _parsed(expression: str) -> Node | None:
    """The tree of an expression in which there may be something to compute."""
    return parse(expression) if _MAY_COMPUTE.search(expression) else None


def _folded(tree: Node, expression: str, constants: Constants) -> str | None:
    """``expression`` with each largest part that computes with nothing but constants replaced by what it gives."""
    made = expression
    for start, end, literal in sorted(_edits(tree, expression, constants), reverse=True):
        made = made[:start] + literal + made[end:]
    if made == expression or "{{" in made:
        return None
    compile_expression(made)
    return made


def _edits(node: Node, text: str, constants: Constants) -> Iterator[tuple[int, int, str]]:
    if isinstance(node, Literal) or chain_of(node) is not None:
        return
    start, end = node.span
    value = _value(node, text, constants)
    if value is not MISSING and (literal := _literal(value, text[start:end], node, constants)) is not None:
        yield start, end, literal
        return
    # What stands in these may be absent, or is a reference's own key: it is theirs as it is written.
    if isinstance(node, Empty | Index) or (isinstance(node, Call) and node.function in SPECIAL):
        return
    if isinstance(node, Method) and (name := node.binds) is not None:
        yield from _edits(node.operand, text, constants)
        for argument in node.arguments[1:]:
            yield from _edits(argument, text, constants.without(name))
        return
    for child in children(node):
        yield from _edits(child, text, constants)


def _value(node: Node, text: str, constants: Constants) -> Any:
    """What ``node``, a part of the expression ``text``, gives; :data:`MISSING` where that is not known."""
    if any(constants.value(chain) is MISSING for chain, _ in references(node)):
        return MISSING
    if not all(_is_steady(part, constants) for part in walk(node)):
        return MISSING
    part = text[slice(*node.span)]
    try:
        # A part in brackets has a span with or without them: only what reads as the part alone is the part.
        return compile_expression(part).evaluate(constants.scope(node)) if parse(part) == node else MISSING
    except ExpressionError:
        return MISSING


def _is_steady(part: Node, constants: Constants) -> bool:
    """Whether it gives the same at any time on any machine, alone or where it stands. A ``uint`` is not known from an
    ``int`` afterwards; inside a macro, what may be absent and other macros have rules of their own."""
    match part:
        case Literal(unsigned=True):
            return False
        case Call(function=name):
            return name not in VOLATILE and name != "uint" and not (constants.in_macro and name in SPECIAL)
        case Method(method=name):
            return not name.startswith("get") and not (constants.in_macro and part.binds is not None)
        case Empty():
            return not constants.in_macro
        case _:
            return True


def _literal(value: Any, part: str, node: Node, constants: Constants) -> str | None:
    """How ``value`` is written in an expression, if that is the same value: times are text only outside of it."""
    if not (value is None or isinstance(value, bool | int | float | str)) or not _fits(value):
        return None
    if isinstance(value, str):
        kind = compile_expression(f"type({part}) == string").evaluate(constants.scope(node))
        if kind is not True:
            return None
    written = unparse(Literal(value))
    return f"({written})" if written.startswith("-") else written


def _fits(value: Any) -> bool:
    """Whether a definition may hold it in the place of a template: no template itself, and not long."""
    if isinstance(value, str):
        return len(value) <= MOST_TEXT and "{{" not in value and "}}" not in value and "\0" not in value
    return not isinstance(value, dict | list)


def _resolved(chain: Chain, scope: Mapping[str, Any]) -> Any:
    return resolve(Reference(chain.root, chain.path, "value", ()), scope)
