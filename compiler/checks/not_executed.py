"""Constructs of the language that this release reads and keeps, but does not act on."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic, Path
from ..model import Definition
from .subject import Subject


def not_executed(subject: Subject) -> Iterator[Diagnostic]:
    """A warning for each, so that nobody relies on what does not happen yet; a note where nothing starts it."""
    definition = subject.definition
    if definition is None:
        return
    for path, what in _found(definition):
        message = f"{what} is accepted but not executed yet"
        yield subject.document.report(
            "MR130",
            message,
            path,
            hint="the workflow runs as if it were absent",
            key=True,
            severity="warning",
        )
    if not definition.triggers and "triggers" not in subject.tree:
        yield subject.document.report(
            "MR131",
            "no trigger: it runs when a person or the API starts it",
            ("name",),
            hint="add triggers: to start it by files, a schedule, a webhook or an event",
            severity="info",
        )


def _found(definition: Definition) -> Iterator[tuple[Path, str]]:
    if definition.concurrency is not None:
        yield ("concurrency",), "concurrency"
    for name in ("max_batch", "max_wait"):
        if name in definition.execution.model_fields_set:
            yield ("execution", name), f"execution {name}"
    for index, trigger in enumerate(definition.triggers):
        if trigger.type in ("webhook", "event"):
            yield ("triggers", index, "type"), f"trigger type {trigger.type}"
