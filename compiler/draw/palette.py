"""Colours, each for light and for dark surroundings. SVG has both; the other formats are light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tone:
    """A colour by its job. ``name`` is its class in SVG."""

    name: str
    light: str
    dark: str


PAPER = Tone("paper", "#fbfcfe", "#0f1722")
CARD = Tone("card", "#ffffff", "#1b2635")
FRAMES = (Tone("frame", "#f1f5fa", "#152030"), Tone("frame-in", "#f9fbfd", "#1a2739"))
"""The ground of a frame, and of one inside it, by turns."""
INK = Tone("ink", "#1f2733", "#e8eef6")
MUTED = Tone("muted", "#566273", "#a9b6c7")
LINE = Tone("line", "#8793a4", "#7d8da2")
BORDER = Tone("border", "#d3dce7", "#3a4b62")

FAMILIES: Mapping[str, Tone] = {
    tone.name: tone
    for tone in (
        Tone("ai", "#6a3fe0", "#b39dff"),
        Tone("control", "#55657a", "#a9b8cc"),
        Tone("data", "#2360d2", "#8ab4ff"),
        Tone("document", "#4b6a1e", "#b5d27e"),
        Tone("http", "#08719a", "#62c8ee"),
        Tone("image", "#0a7275", "#5fd3d0"),
        Tone("media", "#93397b", "#eb9ad6"),
        Tone("notify", "#c02a60", "#ff94b8"),
        Tone("script", "#2d7631", "#86d68a"),
        Tone("storage", "#945700", "#f0b35c"),
    )
}
"""A colour for each family of node types."""
OTHER = Tone("other", "#7a5c4a", "#d4b5a2")

STATES: Mapping[str, Tone] = {
    name: Tone(f"is-{name}", light, dark)
    for name, light, dark in (
        ("completed", "#2a8a50", "#5bc98a"),
        ("failed", "#d03434", "#ff7b7b"),
        ("running", "#2f6fed", "#79a8ff"),
        ("retrying", "#bd7400", "#f2ae49"),
        ("skipped", "#7f8b9b", "#8b98aa"),
        ("canceled", "#7d6b91", "#b9a6cf"),
        ("waiting", "#967400", "#e0bd4f"),
        ("pending", "#7d899b", "#77869b"),
    )
}
"""A colour for each state of a node."""


def family_tone(kind: str) -> Tone:
    """The colour of a node type, by its family."""
    return FAMILIES.get(kind.partition("/")[0], OTHER)
