"""Templates, conditions and mappings: what :mod:`..expressions` finds in them."""

from __future__ import annotations

from collections.abc import Iterable

from ..diagnostics import Diagnostic
from .subject import Subject


def expressions(subject: Subject) -> Iterable[Diagnostic]:
    """Syntax, names, fields and types of every expression."""
    from ..expressions import check

    found = check(subject.scope, subject.document, subject.registry, subject.outputs)
    # Edges of a node without an id lead nowhere, so that nobody knows what is before it.
    return [one for one in found if not (subject.unnamed and one.code == "MR310")]
