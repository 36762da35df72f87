"""Parameters that may be written in several shapes. They are told apart by the shape alone, so that an error is about
the one that was meant, not about all the others too."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Discriminator

Shape = Literal["text", "list", "mapping", "flag"]


def by_shape(first: Shape, *others: Shape) -> Discriminator:
    """What chooses among union members that are tagged with these shapes; a value of another shape is held against the
    ``first``.

    >>> from typing import Annotated
    >>> from pydantic import Tag, TypeAdapter
    >>> Names = Annotated[Annotated[str, Tag("text")] | Annotated[list[str], Tag("list")], by_shape("text", "list")]
    >>> TypeAdapter(Names).validate_python(["a"])
    ['a']
    """
    known = (first, *others)

    def shape(value: Any) -> Shape:
        found = _shape(value)
        return found if found in known else first

    return Discriminator(shape)


def _shape(value: Any) -> Shape:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, list | tuple):
        return "list"
    return "mapping" if isinstance(value, dict | BaseModel) else "text"
