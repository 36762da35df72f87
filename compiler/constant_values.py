"""Templates that read nothing but the definition's own variables, and what these come to before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .document import Document
from .expressions.references import MISSING

if TYPE_CHECKING:
    from .scopes import Scope


def with_constants(document: Document, scope: Scope | None, given: Any, leave: Sequence[str] = ()) -> Any:
    """``given``, a JSON tree in ``scope``, with every template replaced whose value is known; the keys ``leave`` of its
    top mapping as they are. Where nothing is known, the very same tree."""
    if not isinstance(given, dict):
        return _folded(document, scope, given)
    made = {key: value if key in leave else _folded(document, scope, value) for key, value in given.items()}
    return given if all(made[key] is value for key, value in given.items()) else made


def is_constant(document: Document, scope: Scope | None, text: str) -> bool:
    """Whether a template's value is known."""
    return _folded(document, scope, text) is not text


def with_origins(document: Document, hint: str | None, value: Any) -> str | None:
    """``hint``, and where the variables stand that the templates in ``value`` read."""
    found = dict.fromkeys(path for text in _texts(value) for path in _read(text))
    stand = [f"vars.{'.'.join(path)} stands at {document.place(('variables', *path))}" for path in found]
    between = " " if hint and hint.endswith("?") else "; "
    return between.join(filter(None, (hint, ", ".join(stand)))) or None


def _folded(document: Document, scope: Scope | None, value: Any) -> Any:
    if isinstance(value, str):
        return _constant(document, scope, value) if "{{" in value else value
    if isinstance(value, dict):
        made = {key: _folded(document, scope, item) for key, item in value.items()}
        return value if all(made[key] is item for key, item in value.items()) else made
    if isinstance(value, list):
        items = [_folded(document, scope, item) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value


def _constant(document: Document, scope: Scope | None, text: str) -> Any:
    if "vars" not in text:
        return text  # A template of nothing at all, as {{ null }}, is what dialects leave where something was wrong.
    from .optimise.constants import Constants, constant

    variables = document.tree.get("variables")
    shadowed = frozenset(name for one in (scope.around() if scope else ()) for name in one.names)
    known = Constants(variables if isinstance(variables, Mapping) else {}, lambda _: None, shadowed)
    value = constant(text, known)
    return text if value is MISSING else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _read(text: str) -> Iterator[tuple[str, ...]]:
    """The paths of the variables that the templates of ``text`` read."""
    from .expressions.errors import ExpressionError
    from .expressions.parser import parse
    from .expressions.syntax import references
    from .expressions.templates import Hole, parse_template

    if "vars" not in text:
        return
    try:
        for hole in parse_template(text):
            for chain, _ in references(parse(hole.expression)) if isinstance(hole, Hole) else ():
                if chain.root == "vars" and chain.path:
                    yield tuple(map(str, chain.path))
    except ExpressionError:
        return  # It is no template, which is told as such.
