"""A definition with its sub-workflows written out inside it, as their nodes are journaled: for comparing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .analysis import Analysis
from .model import Definition

_OWN = "variables of the sub-workflow"


def inlined(analysis: Analysis) -> Definition:
    """The definition in which each sub-workflow's nodes are the ``body`` of the node that runs it, at any depth. Which
    version that was is not said any more: what is in it tells them apart. Not for running."""
    assert analysis.definition is not None
    document = _document(analysis)
    return Definition.model_validate(document) if analysis.subworkflows else analysis.definition


def _document(analysis: Analysis) -> dict[str, Any]:
    assert analysis.definition is not None
    document = analysis.definition.document()
    for path, inner in analysis.subworkflows.items():
        if inner.definition is None:
            continue
        node: Any = document
        for step in path:
            node = node[step]
        part = _document(inner)
        node["body"] = {key: part[key] for key in ("nodes", "edges", "output") if key in part}
        parameters: Mapping[str, Any] = node.get("parameters", {})
        kept = {name: value for name, value in parameters.items() if name not in ("name", "version")}
        node["parameters"] = {**kept, **({_OWN: part["variables"]} if part.get("variables") else {})}
    return document
