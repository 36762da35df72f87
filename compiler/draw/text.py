"""A graph as text for other tools: Mermaid (as Markdown viewers draw it) and Graphviz' DOT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph import Graph
from .scene import FAMILIES, OTHER, State, clip, condition_text, state_of

_LABEL = 60


def render_mermaid(graph: Graph, states: Mapping[str, Any] | None) -> str:
    """A Mermaid flowchart. Nodes are named ``n0``, ``n1``, … since ids may be words of the language."""
    names = {node.id: f"n{index}" for index, node in enumerate(graph.nodes)}
    known = {node_id: state_of(value) for node_id, value in (states or {}).items()}
    lines = ["flowchart LR"]
    for node in graph.nodes:
        words = [f"<b>{_mermaid(node.id)}</b>", f"<small>{_mermaid(node.type or '?')}</small>"]
        if state := known.get(node.id):
            words.append(f"<small>{_mermaid(state.text)}</small>")
        lines.append(f'  {names[node.id]}["{"<br/>".join(words)}"]')
    for edge in graph.edges:
        label = clip(condition_text(edge.condition), _LABEL)
        arrow = f'-->|"{_mermaid(label)}"|' if label else "-->"
        lines.append(f"  {names[edge.source]} {arrow} {names[edge.target]}")
    lines += [
        f"  style {names[n.id]} fill:#ffffff,stroke:{_color(n.type, known.get(n.id))},stroke-width:2px"
        for n in graph.nodes
    ]
    return "\n".join(lines) + "\n"


def render_dot(graph: Graph, states: Mapping[str, Any] | None) -> str:
    """A Graphviz digraph."""
    known = {node_id: state_of(value) for node_id, value in (states or {}).items()}
    lines = [
        "digraph workflow {",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fillcolor="#ffffff", fontname="Helvetica", penwidth=1.6];',
        '  edge [color="#9aa5b4", fontname="Helvetica", fontsize=10, arrowsize=0.8];',
    ]
    for node in graph.nodes:
        words = [node.id, node.type or "?"] + ([known[node.id].text] if node.id in known else [])
        label = r"\n".join(_dot(word) for word in words)
        lines.append(
            f'  "{_dot(node.id)}" [label="{label}", color="{_color(node.type, known.get(node.id))}"];'
        )
    for edge in graph.edges:
        label = clip(condition_text(edge.condition), _LABEL)
        attributes = f' [label="{_dot(label)}"]' if label else ""
        lines.append(f'  "{_dot(edge.source)}" -> "{_dot(edge.target)}"{attributes};')
    return "\n".join([*lines, "}"]) + "\n"


def _color(kind: str, state: State | None) -> str:
    return state.color if state is not None else FAMILIES.get(kind.partition("/")[0], OTHER)


def _mermaid(text: str) -> str:
    """Mermaid reads entities as ``#name;``; whatever could be markup or end the text becomes one."""
    return "".join(
        c if c.isalnum() or c in " -_/.·…" else (f"#{ord(c)};" if c.isprintable() else " ") for c in text
    )


def _dot(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).replace("\\", "\\\\").replace('"', '\\"')
