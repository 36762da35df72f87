"""Every node can run, and no join keeps an execution from its end."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def soundness(subject: Subject) -> Iterator[Diagnostic]:
    """Nodes that run in no execution, joins because of which nothing comes out."""
    if subject.unnamed:
        return  # where the graph is wrong, its executions say nothing
    from ..verify.soundness import judge

    for scope in subject.scope.walk():
        yield from subject.told(judge(subject.nets, scope))
