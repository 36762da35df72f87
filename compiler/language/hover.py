"""Hover: what the thing under the cursor is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...tasks.catalogue import section
from ...tasks.sdk import NodeType
from .context import Context
from .functions import signature
from .pointing import Pointed, pointed_at
from .reach import ROOTS, NodeOutput, Reach, Value
from .view import View

_ANCHOR = re.compile(r"\[([^\]]+)\]\(#[^)]*\)")
_MOST_FIELDS = 24


@dataclass(frozen=True)
class Hover:
    """Markdown about ``[start, end)`` of the text."""

    markdown: str
    start: int
    end: int


def hover(view: View, text: str, offset: int) -> Hover | None:
    """What is said of the thing at ``offset`` of ``text``; ``None`` where there is nothing to say."""
    pointed = pointed_at(view, text, offset)
    if pointed is None:
        return None
    context = pointed.context
    if pointed.function is not None:
        markdown = _function(pointed.function)
    elif pointed.parts:
        markdown = _reference(pointed)
    elif pointed.node is not None and pointed.reach is not None:
        markdown = node_markdown(view, pointed.reach, pointed.node)
    else:
        markdown = _field(view, context, text[context.start : context.end])
    return Hover(markdown, context.start, context.end) if markdown else None


def node_type_markdown(node_type: NodeType) -> str:
    """A node type as its page of the catalogue has it."""
    return _ANCHOR.sub(r"`\1`", section(node_type)).replace("``", "`")


def node_markdown(view: View, reach: Reach, output: NodeOutput) -> str:
    """A node: its type, what people call it, where it stands, and what it gives."""
    assert view.document is not None
    raw: Any = view.document.value(output.node.path)
    title = f"**{output.node.id}**"
    if isinstance(raw.get("display_name"), str):
        title += f": {raw['display_name']}"
    about = [title, reach.about(output.node)]
    if isinstance(raw.get("description"), str):
        about.append(raw["description"])
    fields = [f"- `{m.name}` {_words(reach, m.target)}".rstrip() for m in reach.members(output)]
    if fields:
        more = [f"- … {len(fields) - _MOST_FIELDS} more"] if len(fields) > _MOST_FIELDS else []
        about.append("It gives:\n" + "\n".join([*fields[:_MOST_FIELDS], *more]))
    about.append(f"*line {output.node.span.line}*")
    return "\n\n".join(about)


def _words(reach: Reach, target: Any) -> str:
    words = reach.words(target)
    return f"*{words}*" if words else ""


def _function(name: str) -> str:
    found = signature(name)
    return f"```cel\n{found.usage}\n```\n\n{found.about}" if found else ""


def _reference(pointed: Pointed) -> str:
    reach, target, parts = pointed.reach, pointed.target, pointed.parts
    shown = str(parts[0]) + "".join(
        f"[{part!r}]" if isinstance(part, int) or not part.isidentifier() else f".{part}"
        for part in parts[1:]
    )
    if reach is None:
        return ""
    words = reach.words(target)
    head = f"```cel\n{shown}{': ' + words if words else ''}\n```"
    about: list[str] = []
    if len(parts) == 1:
        about.append(ROOTS.get(str(parts[0]), "The present item of the loop around"))
    elif isinstance(target, Value) and isinstance(said := target.shape.schema.get("description"), str):
        about.append(said)
    producer = _producer(pointed)
    if producer is not None and producer is not target:
        about.append(f"From node `{producer.node.id}` ({reach.about(producer.node)})")
    elif isinstance(target, NodeOutput):
        about.append(reach.about(target.node))
    if target is None and not about:
        return ""
    return "\n\n".join([head, *about])


def _producer(pointed: Pointed) -> NodeOutput | None:
    """The last node that the reference goes through."""
    assert pointed.reach is not None
    for count in range(len(pointed.parts), 0, -1):
        target = pointed.reach.resolve(pointed.parts[:count])
        if isinstance(target, NodeOutput):
            return target
    return None


def _field(view: View, context: Context, word: str) -> str:
    path = (*context.path, word) if context.role == "key" else context.path
    names_a_type = (
        context.role == "value" and path[-1:] in (("type",), ("node_type",)) and "triggers" not in path
    )
    if names_a_type and (node_type := view.node_type(word)) is not None:
        return node_type_markdown(node_type)
    field = view.schema.field(path, context.entries)
    if field is None:
        return ""
    about = view.schema.describe(field)
    if context.role == "value":
        about = "\n\n".join(filter(None, (_choice(view, context, word), about)))
    return f"**{path[-1]}**\n\n{about}" if about else ""


def _choice(view: View, context: Context, word: str) -> str:
    """What is said of one of several values."""
    for option in view.schema.at(context.path, context.entries):
        if word in option.get("enum", ()):
            return _of_choice(option, word)
    return ""


def _of_choice(option: Mapping[str, Any], word: str) -> str:
    said = option.get("enumDescriptions") or []
    index = list(option["enum"]).index(word)
    return f"`{word}`: {said[index]}" if index < len(said) else ""
