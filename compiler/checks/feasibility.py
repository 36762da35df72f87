"""The pool of workers that a definition is meant for can run it."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def feasibility(subject: Subject) -> Iterator[Diagnostic]:
    """Nodes that fit no worker, and how many may want more than there is; nothing, where no pool was named."""
    if subject.pool is None:
        return
    from ..verify.feasibility import judge

    document, scope, registry = subject.document, subject.scope, subject.registry
    yield from subject.told(judge(document, scope, registry, subject.pool, subject.subworkflows))
