"""Retry rules that contradict themselves."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject


def retry_rules(subject: Subject) -> Iterator[Diagnostic]:
    """A retry whose longest wait is below its first."""
    if subject.definition is None:
        return
    for path, node in subject.definition.walk():
        rule = node.retry
        if rule is None or not {"initial", "max"} <= rule.model_fields_set or rule.max >= rule.initial:
            continue
        message = f"the longest wait ({rule.max:g} s) is shorter than the first ({rule.initial:g} s)"
        yield subject.document.report(
            "MR113", message, (*path, "retry", "max"), hint="write max: at least as long as initial"
        )
