"""Pictures of definitions: SVG and PNG from a layout of our own, Mermaid and DOT for other tools.

Reading order: ``regions.py`` (what there is to draw), ``layout.py`` (where things go), ``scene.py`` (one
picture of all regions), ``paint.py`` (its shapes), then one module per format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from ...core.errors import Code, RealmError
from .node_states import State

if TYPE_CHECKING:
    from ..analysis import Analysis
    from ..graph import Graph
    from ..scopes import Scope

__all__ = ["FORMATS", "Format", "State", "draw"]

TextFormat = Literal["svg", "mermaid", "dot"]
Format = Literal["svg", "mermaid", "dot", "png"]
FORMATS: tuple[str, ...] = get_args(Format)


@overload
def draw(
    source: Graph | Scope | Analysis, format: TextFormat, states: Mapping[str, Any] | None = None
) -> str: ...
@overload
def draw(
    source: Graph | Scope | Analysis, format: Literal["png"], states: Mapping[str, Any] | None = None
) -> bytes: ...
@overload
def draw(
    source: Graph | Scope | Analysis, format: str, states: Mapping[str, Any] | None = None
) -> str | bytes: ...
def draw(
    source: Graph | Scope | Analysis, format: str, states: Mapping[str, Any] | None = None
) -> str | bytes:
    """A picture of a definition: of its analysis (nesting, display names, what loops do, sub-workflows), of
    its scope (nesting) or of a flat graph.

    ``states`` maps nodes by their keys in the journal (``each/resize``) to a status (``"completed"``), to
    ``(status, seconds)``, to a mapping with ``status`` and, where known, ``seconds``, ``done`` and ``total``,
    or to a :class:`State`. Rounds (``each/resize[3]``) are counted. INVALID_ARGUMENT for an unknown format.
    """
    if format in ("mermaid", "dot"):
        from .node_states import gathered
        from .regions import region_of
        from .text import render_dot, render_mermaid

        region = region_of(source)
        known = gathered(states, {figure.key for figure in region.walk()})
        return render_mermaid(region, known) if format == "mermaid" else render_dot(region, known)
    if format in ("svg", "png"):
        from .png import render_png
        from .scene import scene
        from .svg import render_svg

        picture = scene(source, states)
        return render_svg(picture) if format == "svg" else render_png(picture)
    raise RealmError(
        Code.INVALID_ARGUMENT, f"unknown picture format {format!r}", hint=f"one of {', '.join(FORMATS)}"
    )
