"""Pictures of graphs: SVG and PNG from a layout of our own, Mermaid and DOT for other tools.

Reading order: ``layout.py`` (where things go), ``scene.py`` (what is drawn), then one module per format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args, overload

from ...core.errors import Code, RealmError
from ..graph import Graph
from .scene import State, scene

__all__ = ["FORMATS", "Format", "State", "draw"]

TextFormat = Literal["svg", "mermaid", "dot"]
Format = Literal["svg", "mermaid", "dot", "png"]
FORMATS: tuple[str, ...] = get_args(Format)


@overload
def draw(graph: Graph, format: TextFormat, states: Mapping[str, Any] | None = None) -> str: ...
@overload
def draw(graph: Graph, format: Literal["png"], states: Mapping[str, Any] | None = None) -> bytes: ...
@overload
def draw(graph: Graph, format: str, states: Mapping[str, Any] | None = None) -> str | bytes: ...
def draw(graph: Graph, format: str, states: Mapping[str, Any] | None = None) -> str | bytes:
    """A picture of ``graph``. ``states`` maps node ids to a status (``"completed"``), to ``(status, seconds)``, to a
    mapping with ``status`` and ``seconds``, or to a :class:`State`. INVALID_ARGUMENT for an unknown format.
    """
    if format == "mermaid":
        from .text import render_mermaid

        return render_mermaid(graph, states)
    if format == "dot":
        from .text import render_dot

        return render_dot(graph, states)
    if format == "svg":
        from .svg import render_svg

        return render_svg(scene(graph, states))
    if format == "png":
        from .png import render_png

        return render_png(scene(graph, states))
    raise RealmError(
        Code.INVALID_ARGUMENT, f"unknown picture format {format!r}", hint=f"one of {', '.join(FORMATS)}"
    )
