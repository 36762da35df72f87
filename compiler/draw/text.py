"""A region as text for other tools: Mermaid (as Markdown viewers draw it) and Graphviz' DOT. What is inside a
node is a subgraph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..graph import Edge
from .edge_labels import edge_label
from .node_states import State
from .palette import BORDER, CARD, FRAMES, INK, LINE, Tone, family_tone
from .regions import Figure, Region
from .words import clip

_LABEL = 90


def render_mermaid(region: Region, states: Mapping[str, State]) -> str:
    """A Mermaid flowchart. Nodes are named ``n0``, ``n1``, … since ids may be words of the language."""
    names = {figure.key: f"n{index}" for index, figure in enumerate(region.walk())}
    lines = ["flowchart LR", *_mermaid_region(region, names, states, 1)]
    for figure in region.walk():
        fill = FRAMES[0] if figure.parts else CARD
        border = _tone(figure, states).light
        colors = f"fill:{fill.light},color:{INK.light},stroke:{border}"
        lines.append(f"  style {names[figure.key]} {colors},stroke-width:2px")
    return "\n".join(lines) + "\n"


def _mermaid_region(
    region: Region, names: Mapping[str, str], states: Mapping[str, State], level: int
) -> Iterator[str]:
    indent = "  " * level
    for figure in region.figures.values():
        words = [f"<b>{_mermaid(figure.title)}</b>", f"<small>{_mermaid(figure.subtitle)}</small>"]
        if state := states.get(figure.key):
            words.append(f"<small>{_mermaid(state.text)}</small>")
        name = names[figure.key]
        if not figure.parts:
            yield f'{indent}{name}["{"<br/>".join(words)}"]'
            continue
        yield f'{indent}subgraph {name} ["{"<br/>".join(words)}"]'
        for index, part in enumerate(figure.parts):
            if part.name is None:
                yield from _mermaid_region(part, names, states, level + 1)
            else:
                yield f'{indent}  subgraph {name}b{index} ["{_mermaid(part.name)}"]'
                yield from _mermaid_region(part, names, states, level + 2)
                yield f"{indent}  end"
        yield f"{indent}end"
    for edge in region.graph.edges:
        label = clip(edge_label(region.graph, edge), _LABEL)
        arrow = f'-->|"{_mermaid(label)}"|' if label else "-->"
        source, target = (names[region.figures[end].key] for end in (edge.source, edge.target))
        yield f"{indent}{source} {arrow} {target}"


def render_dot(region: Region, states: Mapping[str, State]) -> str:
    """A Graphviz digraph. Edges of a node with nodes inside end at its frame (``compound``)."""
    names = {figure.key: f"cluster_{index}" for index, figure in enumerate(region.walk())}
    lines = [
        "digraph workflow {",
        "  rankdir=LR;",
        "  compound=true;",
        '  fontname="Helvetica";',
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", penwidth=1.6,'
        f' fillcolor="{CARD.light}"];',
        f'  edge [color="{LINE.light}", fontname="Helvetica", fontsize=10, arrowsize=0.8];',
        *_dot_region(region, names, states, 1),
    ]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_region(
    region: Region, names: Mapping[str, str], states: Mapping[str, State], level: int
) -> Iterator[str]:
    indent = "  " * level
    for figure in region.figures.values():
        words = [figure.title, figure.subtitle]
        words += [states[figure.key].text] if figure.key in states else []
        label, color = r"\n".join(map(_dot, words)), _tone(figure, states).light
        if not _leaf(figure):
            yield f'{indent}"{_dot(figure.key)}" [label="{label}", color="{color}"];'
            continue
        yield f"{indent}subgraph {names[figure.key]} {{"
        ground = FRAMES[level % 2].light
        yield f'{indent}  label="{label}"; style="rounded,filled"; color="{color}"; fillcolor="{ground}";'
        for index, part in enumerate(figure.parts):
            if part.name is None:
                yield from _dot_region(part, names, states, level + 1)
            else:
                yield f"{indent}  subgraph {names[figure.key]}_{index} {{"
                label = _dot(part.name)
                yield f'{indent}    label="{label}"; style="rounded,dashed"; color="{BORDER.light}";'
                yield from _dot_region(part, names, states, level + 2)
                yield f"{indent}  }}"
        yield f"{indent}}}"
    for edge in region.graph.edges:
        yield indent + _dot_edge(region, names, edge)


def _dot_edge(region: Region, names: Mapping[str, str], edge: Edge) -> str:
    source, target = edge.source, edge.target
    attributes: list[str] = []
    if label := clip(edge_label(region.graph, edge), _LABEL):
        attributes.append(f'label="{_dot(label)}"')
    ends: list[str] = []
    for end, option in ((source, "ltail"), (target, "lhead")):
        figure = region.figures[end]
        inside = _leaf(figure)
        ends.append(_dot((inside or figure).key))
        if inside and source != target:
            attributes.append(f'{option}="{names[figure.key]}"')
    rest = f" [{', '.join(attributes)}]" if attributes else ""
    return f'"{ends[0]}" -> "{ends[1]}"{rest};'


def _leaf(figure: Figure) -> Figure | None:
    """Some node deep inside, which DOT needs for the end of an edge; ``None`` where nothing is inside."""
    for part in figure.parts:
        for inner in part.figures.values():
            return _leaf(inner) or inner
    return None


def _tone(figure: Figure, states: Mapping[str, State]) -> Tone:
    state = states.get(figure.key)
    return state.tone if state is not None else family_tone(figure.node.type)


def _mermaid(text: str) -> str:
    """Mermaid reads entities as ``#name;``; whatever could be markup or end the text becomes one."""
    return "".join(
        c if c.isalnum() or c in " -_/.·…" else (f"#{ord(c)};" if c.isprintable() else " ") for c in text
    )


def _dot(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text).replace("\\", "\\\\").replace('"', '\\"')
