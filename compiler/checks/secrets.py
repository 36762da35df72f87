"""Secrets stay out of the definition, and out of what people and other systems see."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def secrets(subject: Subject) -> Iterator[Diagnostic]:
    """Credentials in clear; sensitive values that come into outputs, notifications, events, tasks and messages."""
    if any(scope.graph.dangling or scope.graph.cycles for scope in subject.scope.walk()):
        return  # where the graph is wrong, what flows along it says nothing
    from ..verify.secrets import judge, written_out

    yield from subject.told(written_out(subject.document, subject.scope))
    if any(word in subject.document.text for word in _SOURCES):
        yield from subject.told(judge(subject.document, subject.scope, subject.registry))


_SOURCES = ("env", "secret", "password", "writeOnly", "x-sensitive")
"""Words without one of which no secret has a beginning."""
