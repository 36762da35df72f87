"""The keys of a layout in the model's order, those of its author's dialect beside the canonical ones they stand for."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel

from ..dialects.platform import EDGE_NAMES, NODE_NAMES, TOP_NAMES
from ..model import Definition
from .tree import Collection, Entry

_ALIASES = {**TOP_NAMES, **NODE_NAMES, **EDGE_NAMES}


def sort_keys(root: Entry) -> None:
    """Put the keys that the model knows into its order; the others follow in their own."""
    _sort(root.value, Definition)


def _sort(value: object, model: type[BaseModel]) -> None:
    if not isinstance(value, Collection):
        return
    if not value.mapping:
        for entry in value.entries:
            _sort(entry.value, model)
        return
    places = {name: place for place, name in enumerate(model.model_fields)}
    value.entries.sort(key=lambda entry: _place(entry, places))
    for entry in value.entries:
        inner = _model_of(model, _name(entry))
        if inner is not None:
            _sort(entry.value, inner)


def _place(entry: Entry, places: dict[str, int]) -> int:
    name = _name(entry)
    # What is merged in comes first: that is where people look for it.
    return -1 if name == "<<" else places.get(_ALIASES.get(name, name), len(places))


def _name(entry: Entry) -> str:
    return entry.key.text if entry.key is not None else ""


def _model_of(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of what a field holds, alone or in a list."""
    model.model_rebuild()  # parts are nested in nodes, which are nested in parts
    field = model.model_fields.get(_ALIASES.get(name, name))
    kinds = [field.annotation] if field is not None else []
    while kinds:
        kind = kinds.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        kinds += [arg for arg in get_args(kind) if arg is not None]
    return None
