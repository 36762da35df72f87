"""What an offset points at: a part of a reference, a function, a node named by its id, a key or a value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..expressions.cursor import Cursor
from ..expressions.errors import ExpressionError
from ..expressions.functions import GLOBAL_NAMES, METHOD_NAMES
from .context import Context, context_at
from .fragments import Fragment, decoded, expression_at
from .reach import NodeOutput, Reach, Target
from .schema_view import node_names
from .strings import references_in
from .view import View, names_itself


@dataclass(frozen=True)
class Pointed:
    """``parts`` are those of a reference up to the cursor and ``target`` what they lead to; ``function`` is a function
    or a method that is called; ``node`` a node named by its id, in an expression or not."""

    context: Context
    reach: Reach | None = None
    parts: tuple[str | int, ...] = ()
    target: Target | None = None
    function: str | None = None
    node: NodeOutput | None = None


def pointed_at(view: View, text: str, offset: int) -> Pointed | None:
    """What ``offset`` of ``text`` points at, by what ``view`` knows; ``None`` in a comment."""
    context = context_at(text, offset)
    if context is None:
        return None
    reach = view.reach(context)
    if context.role == "value":
        fragment = expression_at(text, context, offset, bare=view.is_condition(context))
        if fragment is not None:
            return _in_expression(context, reach, decoded(fragment, context.quote))
        return Pointed(context, reach, node=_named(view, text, context))
    return Pointed(context, reach)


def _in_expression(context: Context, reach: Reach | None, fragment: Fragment) -> Pointed:
    cursor = fragment.cursor
    for reference in references_in(fragment.expression):
        for count, (start, end) in enumerate(reference.places):
            if start <= cursor <= end:
                parts = (reference.root, *reference.path[:count])
                target = reach.resolve(parts) if reach else None
                node = target if isinstance(target, NodeOutput) else None
                return Pointed(context, reach, parts, target, node=node)
    return Pointed(context, reach, function=_function(fragment))


def _function(fragment: Fragment) -> str | None:
    try:
        tokens = Cursor(fragment.expression).tokens
    except ExpressionError:
        return None
    for token, following in pairwise(tokens):
        if token.kind == "name" and token.start <= fragment.cursor <= token.end and following.text == "(":
            return token.text if token.text in GLOBAL_NAMES | METHOD_NAMES else None
    return None


def _named(view: View, text: str, context: Context) -> NodeOutput | None:
    site = view.site(context)
    if site is None:
        return None
    node = site.scope.graph.by_id.get(text[context.start : context.end])
    if node is None or not (names_itself(context) or node_names(view.schema, context.path, context.entries)):
        return None
    return NodeOutput(site.scope, node)
