"""Rules whose keys exclude or need each other."""

from __future__ import annotations

from collections.abc import Iterator

from ..diagnostics import Diagnostic
from .subject import Subject

_WAYS = ("goto", "fallback", "ignore")


def error_rules(subject: Subject) -> Iterator[Diagnostic]:
    """``on_error`` with none or several of its ways."""
    for path, node in subject.nodes():
        rules = node.get("on_error")
        for index, rule in enumerate(rules if isinstance(rules, list) else [rules]):
            if not isinstance(rule, dict):
                continue
            given = [way for way in _WAYS if way in rule]
            if len(given) != 1 and not subject.refused((*path, "on_error", index)):
                what = "none of" if not given else "more than one of"
                message = f"on_error says {what} goto, fallback and ignore"
                hint = "write one: {goto: node-id}, {fallback: {parameters}} or {ignore: true}"
                yield subject.document.report(
                    "MR119" if given else "MR110", message, (*path, "on_error", index), hint=hint
                )
