"""Every expression of a definition, with the place in the text of each of its characters, and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..diagnostics import Path
from ..document import Document, walk_strings
from ..expressions.cursor import Cursor
from ..expressions.errors import ExpressionError
from ..expressions.functions import MACROS
from ..expressions.references import Reference
from ..expressions.spelling import LITERALS
from ..expressions.templates import Hole, condition_of, parse_template
from ..scopes import Scope
from .reach import Reach
from .view import View

_WORDS = LITERALS | {"and", "or", "not", "in", "is"}
Locate = Callable[[int, int], tuple[int, int] | None]
"""From characters of an expression to offsets in the text."""


@dataclass(frozen=True)
class Expression:
    """An expression: what it may read, and where it stands."""

    text: str
    reach: Reach
    locate: Locate

    def references(self) -> list[Reference]:
        """What it reads; nothing, where it is not well-formed."""
        return references_in(self.text)


def references_in(expression: str) -> list[Reference]:
    """The references of an expression, every one as often as it stands there; none, where it is not well-formed.

    >>> [r.text() for r in references_in("nodes.a.x + sum(input.l.map(x, x.y)) + default(nodes.a.x, 0)")]
    ['nodes.a.x', 'input.l', 'nodes.a.x']
    """
    try:
        cursor = Cursor(expression)
    except ExpressionError:
        return []
    bound = list(_bound(cursor))
    found: list[Reference] = []
    for index, token in enumerate(cursor.tokens[:-1]):
        plain = (
            token.kind == "name" and not cursor.after_dot(index) and not cursor.is_operator(index + 1, "(")
        )
        if plain and not any(token.text == name and low < index < high for name, low, high in bound):
            found.append(_chain(cursor, index))
    return [reference for reference in found if reference.root not in _WORDS]


def _bound(cursor: Cursor) -> Iterator[tuple[str, int, int]]:
    """The variables of macros, each with the brackets between which it is one."""
    tokens = cursor.tokens
    for index, token in enumerate(tokens[:-2]):
        if token.text in MACROS and cursor.after_dot(index) and cursor.is_operator(index + 1, "("):
            yield tokens[index + 2].text, index + 1, cursor.partner[index + 1]


def _chain(cursor: Cursor, index: int) -> Reference:
    """The longest reference that begins at ``index``."""
    tokens, root = cursor.tokens, cursor.tokens[index]
    path: list[str | int] = []
    places = [(root.start, root.end)]
    position = index + 1
    while position < len(tokens) - 1:
        following = tokens[position + 1]
        if cursor.is_operator(position, ".") and following.kind == "name":
            if cursor.is_operator(position + 2, "("):
                break
            path.append(following.text)
            places.append((following.start, following.end))
            position += 2
        elif cursor.is_operator(position, "[") and cursor.partner[position] == position + 2:
            key = following.literal()
            if key is None and not (following.kind == "number" and following.text.isdecimal()):
                break
            path.append(int(following.text) if key is None else key)
            places.append((tokens[position].start, tokens[position + 2].end))
            position += 3
        else:
            break
    return Reference(root.text, tuple(path), "value", tuple(places))


def expressions_of(view: View) -> Iterator[Expression]:
    """Every expression of the definition, outer scopes first."""
    if view.scope is None or view.document is None:
        return
    for scope in view.scope.walk():
        for path, text, reach, bare in _texts(view, scope):
            yield from _split(view, path, text, reach, bare=bare)


def _texts(view: View, scope: Scope) -> Iterator[tuple[Path, str, Reach, bool]]:
    """The strings of a scope that may hold expressions; the last says that the whole string may be one."""
    document = view.document
    assert document is not None
    part = document.value(scope.path)
    anybody = Reach(document, view.registry, scope)
    for node in scope.graph.nodes:
        raw = document.value(node.path)
        reach = Reach(document, view.registry, scope, node.id)
        yield from _strings(raw, (*node.path, "when"), reach, bare=True)
        for key in ("input", "on_error", "compensate"):
            yield from _strings(raw, (*node.path, key), reach)
        yield from _parameters(view, raw, (*node.path, "parameters"), reach)
    for index, edge in enumerate(part.get("edges") or () if isinstance(part, dict) else ()):
        if isinstance(edge, dict):
            path: Path = (*scope.path, "edges", index)
            yield from _strings(edge, (*path, "condition"), anybody, bare=True)
            yield from _strings(edge, (*path, "mapping"), anybody)
    if isinstance(part, dict):
        yield from _strings(part, (*scope.path, "output"), anybody)
        handling = part.get("error_handling")
        if isinstance(handling, dict):
            yield from _strings(handling, (*scope.path, "error_handling", "notify"), anybody)


def _parameters(
    view: View, node: Mapping[str, Any], path: Path, reach: Reach
) -> Iterator[tuple[Path, str, Reach, bool]]:
    parameters, node_type = node.get("parameters"), view.node_type(_text(node.get("type")))
    if not isinstance(parameters, dict):
        return
    deferred = node_type.deferred if node_type else {}
    for name in parameters:
        if (later := deferred.get(name)) is None:
            yield from _strings(parameters, (*path, name), reach)
        else:
            wider = Reach(
                reach.document, reach.registry, reach.scope, reach.node, later.names, in_parts=later.in_parts
            )
            yield from _strings(parameters, (*path, name), wider, bare=True)


def _strings(
    holder: Mapping[str, Any], path: Path, reach: Reach, *, bare: bool = False
) -> Iterator[tuple[Path, str, Reach, bool]]:
    for place, text in walk_strings(holder.get(str(path[-1])), path):
        if bare or "{{" in text:
            yield place, text, reach, bare


def _split(view: View, path: Path, text: str, reach: Reach, *, bare: bool) -> Iterator[Expression]:
    """The expressions of the string at ``path``, by what its author wrote."""
    assert view.document is not None
    text, locate = _authored(view, path, text)
    try:
        if bare:
            holes = [condition_of(text)] if text.strip().casefold() != "else" else []
        else:
            holes = [part for part in parse_template(text) if isinstance(part, Hole)]
    except ExpressionError:
        return
    for hole in holes:
        yield Expression(hole.expression, reach, _offset(locate, hole.offset))


def _authored(view: View, path: Path, text: str) -> tuple[str, Locate]:
    """The string at ``path`` as its author wrote it; where a dialect translated it, the translation, which knows its
    places in what was written."""
    document = view.document
    assert document is not None
    span = document.span(path)
    translated = document.written(path, (0, 1))[0] != text
    if not translated and isinstance(source := _value(view.authored, document.origin(path)), str):
        text = source  # The first match of several: its condition here excludes those before it.

    def locate(start: int, end: int) -> tuple[int, int] | None:
        written, within = document.written(path, (start, end)) if translated else (text, (start, end))
        found = view.places.within(span, written, *within)
        if found is None:
            return None
        return view.places.offset(found[0], found[1]), view.places.offset(found[2], found[3])

    return text, locate


def _value(document: Document | None, path: Path) -> Any:
    """The value at ``path``, ``None`` where there is none."""
    try:
        return document.value(path) if document is not None else None
    except (KeyError, IndexError, TypeError):
        return None


def _offset(locate: Locate, offset: int) -> Locate:
    return lambda start, end: locate(start + offset, end + offset)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
