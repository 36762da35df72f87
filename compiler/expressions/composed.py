"""Shapes made of shapes: the output of a node whose parts, parameters or sub-workflow spell it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ExpressionError
from .shapes import ANYTHING, CelType, Shape, Unknown, shape_of_value
from .templates import Hole, parse_template


@dataclass(frozen=True, slots=True)
class Fields(Shape):
    """An object with these fields, and no others unless ``open``."""

    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    root: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = True
    known: Mapping[str, Shape] = field(default_factory=dict)
    open: bool = False

    def step(self, part: str | int) -> Shape | Unknown:
        """What lies under ``part``."""
        if (found := self.known.get(str(part))) is not None:
            return found
        return Unknown(tuple(self.known), "a map", not self.open)

    @property
    def cel_type(self) -> CelType:
        """A map."""
        return "map"

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are listed."""
        return tuple(self.known)

    @property
    def certain(self) -> frozenset[str]:
        """None: of a part's nodes, any may have been skipped."""
        return frozenset()


@dataclass(frozen=True, slots=True)
class Items(Shape):
    """A list whose items have one shape."""

    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "array"})
    root: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = True
    item: Shape = ANYTHING

    def step(self, part: str | int) -> Shape | Unknown:
        """An item; a list has no fields."""
        return self.item if isinstance(part, int) else Unknown((), "a list", True)

    @property
    def cel_type(self) -> CelType:
        """A list."""
        return "list"


def or_failed(shape: Shape) -> Shape:
    """What others get of a node that may fail and let them go on: its output, or its error."""
    fields = {name: step for name in shape.fields if isinstance(step := shape.step(name), Shape)}
    return Fields(known={**fields, "status": ANYTHING, "error": ANYTHING}, open=True) if fields else ANYTHING


def item_of(shape: Shape) -> Shape:
    """The shape of the items of a list; anything, where they are not all alike."""
    found = items_of(shape)
    return found[0] if len(found) == 1 else ANYTHING


def items_of(shape: Shape) -> tuple[Shape, ...]:
    """The different shapes that the items of a list have, in the order of their places."""
    if shape.cel_type != "list":
        return (ANYTHING,)
    behind = shape.step(len(shape.places))
    found = (*shape.places, *([behind] if isinstance(behind, Shape) else ()))
    return tuple(one for index, one in enumerate(found) if one not in found[:index]) or (ANYTHING,)


def sole_hole(text: str) -> Hole | None:
    """The template that is all of ``text``, if one is."""
    try:
        parts = parse_template(text)
    except ExpressionError:
        return None
    return parts[0] if len(parts) == 1 and isinstance(parts[0], Hole) else None


def is_text(text: str) -> bool:
    """Whether a text with templates in it renders to text: it holds something beside them."""
    try:
        return "{{" in text and len(parse_template(text)) > 1
    except ExpressionError:
        return False


def shape_of_literal(value: Any) -> Shape:
    """The shape of a value without templates; anything, for one with."""
    return ANYTHING if "{{" in str(value) else shape_of_value(value)
