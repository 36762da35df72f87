"""Every loop ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..diagnostics import Diagnostic
from .subject import Subject


def termination(subject: Subject) -> Iterator[Diagnostic]:
    """Loops that nothing bounds, that never end, that are allowed fewer rounds than they ask for; bodies that no item
    and no round reaches."""
    if subject.unnamed:
        return
    inner = [scope for scope in subject.scope.walk() if scope.owner is not None]
    if not inner:
        return
    from ..verify.constructs import goes_through
    from ..verify.termination import judge

    for scope in inner:
        yield from subject.told(judge(subject.nets, scope))
        node_type = subject.node_type(scope.owner.type) if scope.owner else None
        if scope.owner is None or node_type is None:
            continue
        items: Any = goes_through(node_type, subject.document.value(scope.owner.path))
        if items == []:
            message = f"the body of {scope.owner.id!r} never runs: it goes through an empty list"
            place = (*scope.owner.path, "parameters", "items")
            yield subject.document.report(
                "MR243", message, place, hint="name the items, or remove it", severity="warning"
            )
