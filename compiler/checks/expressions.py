"""Templates, conditions and mappings: what :mod:`..expressions` finds in them."""

from __future__ import annotations

from collections.abc import Iterable

from ..diagnostics import Diagnostic
from .subject import Subject


def expressions(subject: Subject) -> Iterable[Diagnostic]:
    """Syntax, names, fields and types of every expression."""
    from ..expressions import check

    return check(subject.scope, subject.document, subject.registry, subject.outputs)
