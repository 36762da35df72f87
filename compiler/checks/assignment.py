"""What an expression reads is there wherever it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..diagnostics import Diagnostic
from ..expressions.positions import Places
from .subject import Subject

if TYPE_CHECKING:
    from ..verify.assignment import Reading


def assignment(subject: Subject) -> Iterator[Diagnostic]:
    """References to what was skipped, may have failed or is not there yet, where nothing is prepared for that."""
    if subject.unnamed:
        return  # a reference may mean the node whose id is missing, which is reported
    from ..verify.assignment import judge

    places: Places | None = None
    for scope in subject.scope.walk():
        for found in judge(subject.nets, scope):
            if found.severity is not None:
                places = places or Places(subject.document.text)
                yield _report(subject, found, places)


def _report(subject: Subject, found: Reading, places: Places) -> Diagnostic:
    document = subject.document
    report = document.report(
        found.code,
        found.message,
        found.path,
        hint=found.hint,
        severity=found.severity or "warning",
        within=found.within,
        verdict=found.verdict,
    )
    value, (start, end) = document.written(found.path, found.within)
    span = places.within(document.span(found.path), value, start, end) if isinstance(value, str) else None
    if span is None:
        return report
    return replace(report, line=span[0], column=span[1], end_line=span[2], end_column=span[3])
