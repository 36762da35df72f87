"""Completion: what may be written at the cursor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ...tasks.sdk import NODE_NAME
from ..graph import GraphNode
from .context import Context, context_at
from .fragments import Fragment, Partial, expression_at, list_of_variable, partial_at
from .functions import FUNCTIONS, METHODS
from .hover import node_markdown, node_type_markdown
from .reach import AllNodes, Member, NodeOutput, Reach, Target
from .scalars import member, scalar
from .view import View, names_itself

Kind = Literal["key", "value", "type", "node", "field", "name", "function", "method"]
_LITERALS = ("true", "false", "null")
MOST_NODES = 200
"""Node ids that are offered at once: more are asked for again as letters are typed, and no list is ever slow."""


@dataclass(frozen=True)
class Item:
    """A completion: ``text`` replaces ``[start, end)``. Items come best first within their ``rank``."""

    label: str
    kind: Kind
    text: str
    start: int
    end: int
    detail: str = ""
    documentation: str = ""
    rank: int = 0
    about: tuple[str, ...] = ()
    """What :func:`explain` makes its documentation of, where that would take time for all items."""


def complete(view: View, text: str, offset: int) -> list[Item]:
    """What may stand at ``offset`` of ``text``; the client filters by what is typed already."""
    context = context_at(text, offset)
    if context is None:
        return []
    if context.role == "value":
        fragment = expression_at(text, context, offset, bare=view.is_condition(context))
        if fragment is not None:
            return _in_expression(view, text, context, fragment)
    if context.quote == "|":
        return []
    items = list(_values(view, text, context)) if context.role == "value" or context.alone else []
    if context.role == "key" or (context.alone and not context.flow):
        items += _keys(view, text, context)
    return items


def explain(view: View, about: tuple[str, ...]) -> str:
    """The documentation of an item, by its ``about``; ``""`` for one that is no longer there."""
    match about:
        case ("type", name):
            node_type = view.node_type(name)
            return node_type_markdown(node_type) if node_type else ""
        case ("node", key, node_id) if view.scope is not None and view.document is not None:
            scope = next((one for one in view.scope.walk() if one.key == key), None)
            if scope is None or node_id not in scope.graph:
                return ""
            reach = Reach(view.document, view.registry, scope)
            return node_markdown(view, reach, NodeOutput(scope, scope.graph.by_id[node_id]))
    return ""


# --- keys and values ----------------------------------------------------------------------------------------------


def _keys(view: View, text: str, context: Context) -> Iterator[Item]:
    written = context.entries(context.path)
    typed = text[context.start : context.end]
    for name, field in view.schema.fields(context.path, context.entries).items():
        if name in written and name != typed:
            continue
        required = name in _required(view, context)
        yield Item(
            name,
            "key",
            _key(name, text, context),
            context.start,
            context.end,
            view.schema.words(field),
            view.schema.describe(field),
            rank=0 if required else 1,
        )


def _required(view: View, context: Context) -> set[str]:
    found: set[str] = set()
    for schema in view.schema.at(context.path, context.entries):
        found |= set(schema.get("required", ()))
    return found


def _key(name: str, text: str, context: Context) -> str:
    if context.colon or context.quote:
        closed = text[context.end : context.end + 1] == context.quote
        return name if context.colon or not context.quote or closed else f"{name}{context.quote}: "
    return f'"{name}": ' if context.json else f"{name}: "


def _values(view: View, text: str, context: Context) -> Iterator[Item]:
    seen: set[str] = set()
    for option in view.schema.at(context.path, context.entries):
        if option.get("format") == NODE_NAME:
            yield from _node_ids(view, text, context)
        for item in _choices(view, context, option):
            if item.label not in seen:
                seen.add(item.label)
                yield item


def _choices(view: View, context: Context, option: Mapping[str, Any]) -> Iterator[Item]:
    said = option.get("enumDescriptions") or []
    for index, value in enumerate(option.get("enum", ())):
        about = said[index] if index < len(said) else ""
        is_type = view.node_type(value) is not None if isinstance(value, str) else False
        item = _value(value, context, "type" if is_type else "value", about)
        yield replace(item, about=("type", value)) if is_type else item
    if "const" in option:
        yield _value(option["const"], context, "value")
    kinds = option.get("type")
    if kinds == "boolean" or (
        isinstance(kinds, list) and "boolean" in kinds and not view.is_condition(context)
    ):
        default = option.get("default")
        yield from (_value(one, context, "value", rank=one is default) for one in (True, False))


def _value(value: Any, context: Context, kind: Kind, about: str = "", rank: int = 0) -> Item:
    label = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Item(label, kind, _written(value, context), context.start, context.end, about, rank=rank)


def _written(value: Any, context: Context) -> str:
    if context.quote:
        return value if isinstance(value, str) else json.dumps(value)
    if not isinstance(value, str) or context.json:
        return json.dumps(value, ensure_ascii=False)
    return scalar(value)


def _node_ids(view: View, text: str, context: Context) -> Iterator[Item]:
    site = view.site(context)
    if site is None or view.document is None or names_itself(context):
        return
    reach = Reach(view.document, view.registry, site.scope, site.node)
    nodes = [node for node in site.scope.graph.nodes if node.id != site.node]
    for node in _nearest(nodes, text[context.start : context.end], reach):
        item = _value(node.id, context, "node", reach.about(node))
        yield replace(item, about=("node", site.scope.key, node.id))


def _nearest(nodes: Sequence[GraphNode], word: str, reach: Reach) -> Sequence[GraphNode]:
    """Of many nodes, those that ``word`` may mean, the nearest to the reader first."""
    if len(nodes) <= MOST_NODES:
        return nodes
    typed = _plain(word)
    own = reach.scope.graph.by_id.get(reach.node or "")
    line = own.span.line if own is not None else 0
    meant = [node for node in nodes if typed in _plain(node.id)]
    return sorted(meant, key=lambda node: abs(node.span.line - line))[:MOST_NODES]


def _plain(text: str) -> str:
    return text.casefold().replace("-", "_")


# --- expressions --------------------------------------------------------------------------------------------------


def _in_expression(view: View, text: str, context: Context, fragment: Fragment) -> list[Item]:
    partial = partial_at(fragment)
    if partial is None:
        return []
    reach = view.reach(context)
    start = fragment.start + partial.start
    end = fragment.start + fragment.cursor
    while end < len(text) and (
        text[end].isalnum() or text[end] in "_-" * bool(partial.bracket) or text[end] == "_"
    ):
        end += 1
    if partial.chain is None:
        return [*_names(reach, start, end), *_functions(start, end)]
    target = _target(reach, fragment, partial)
    items: list[Item] = []
    if reach is not None and target is not None:
        items += _members(reach, target, partial, fragment, context, end)
    if not partial.bracket and not isinstance(target, AllNodes):
        items += [_method(name, start, end) for name in METHODS]
    return items


def _target(reach: Reach | None, fragment: Fragment, partial: Partial) -> Target | None:
    if reach is None or not partial.chain:
        return None
    first = str(partial.chain[0])
    through = list_of_variable(fragment, first)
    if through is None:
        return reach.resolve(partial.chain)
    target = reach.resolve(through)
    for part in (0, *partial.chain[1:]):
        target = reach.step(target, part) if target is not None else None
    return target


def _members(
    reach: Reach,
    target: Target,
    partial: Partial,
    fragment: Fragment,
    context: Context,
    end: int,
) -> Iterator[Item]:
    start = fragment.start + partial.start
    for one in _offered(reach, target, partial.word):
        node = one.target if isinstance(one.target, NodeOutput) else None
        if partial.bracket:
            text, begin = one.name, start
        else:
            assert partial.dot is not None
            spelled = one.name.replace("-", "_") if isinstance(target, AllNodes) else one.name
            text, begin = member(spelled, one.name, context.quote), fragment.start + partial.dot
            if text.startswith("."):
                text, begin = text[1:], start
        late = node is not None and isinstance(target, AllNodes) and not reach.before(one.name)
        yield Item(
            one.name,
            "node" if node else "field",
            text,
            begin,
            end,
            one.description if node else reach.words(one.target),
            "" if node else one.description,
            rank=1 if late else 0,
            about=("node", node.scope.key, node.node.id) if node else (),
        )


def _offered(reach: Reach, target: Target, word: str) -> Iterator[Member]:
    if not isinstance(target, AllNodes):
        yield from reach.members(target)
        return
    outputs = {output.node.id: output for output in reach.nodes.values() if output.node.id != reach.node}
    for node in _nearest([output.node for output in outputs.values()], word, reach):
        yield Member(node.id, outputs[node.id], reach.about(node))


def _names(reach: Reach | None, start: int, end: int) -> Iterator[Item]:
    for one in reach.roots() if reach is not None else ():
        yield Item(
            one.name, "name", one.name, start, end, reach.words(one.target) if reach else "", one.description
        )
    yield from (Item(word, "value", word, start, end, rank=2) for word in _LITERALS)


def _functions(start: int, end: int) -> Iterator[Item]:
    for name, found in FUNCTIONS.items():
        yield Item(name, "function", name, start, end, found.usage, found.about, rank=1)


def _method(name: str, start: int, end: int) -> Item:
    return Item(name, "method", name, start, end, METHODS[name].usage, METHODS[name].about, rank=2)
