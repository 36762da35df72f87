"""What the compiler did with a definition: each pass of the optimiser, and what is proved about the branches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .analysis import Analysis
from .diagnostics import Diagnostic
from .document import Document
from .optimise import Notes, optimise
from .optimise.notes import counted
from .plan import Plan, plan_of
from .scopes import Scope

MOST_SHOWN = 20
"""Remarks of one kind that the text shows of a pass; JSON has them all."""


@dataclass(frozen=True)
class Explanation:
    """``plan`` is the plan that is emitted, ``passes`` what each pass told, ``facts`` what verification found out."""

    plan: Plan
    passes: tuple[Notes, ...]
    facts: tuple[Diagnostic, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "workflow": self.plan.definition.name,
            "nodes": self.plan.size(),
            "passes": [
                {
                    "pass": notes.name,
                    "workflow": notes.workflow,
                    "saw": notes.saw,
                    "changed": [remark._asdict() for remark in notes.changed],
                    "kept": [remark._asdict() for remark in notes.kept],
                }
                for notes in self.passes
            ],
            "facts": [fact.to_dict() for fact in self.facts],
        }

    def text(self) -> str:
        """For people."""
        lines: list[str] = []
        several = len({notes.workflow for notes in self.passes}) > 1
        for notes in self.passes:
            of = f" of {notes.workflow}" if several else ""
            lines.append(f"{notes.name}{of}: {notes.saw}")
            lines += _remarks("changed", notes.changed) or ["  changed  nothing"]
            lines += _remarks("kept", notes.kept)
            lines.append("")
        return "\n".join([*lines, *self._facts()]) + "\n"

    def _facts(self) -> Iterator[str]:
        told = [fact for fact in self.facts if fact.verdict != "refuted"]
        proved = sum(fact.verdict == "proved" for fact in told)
        yield f"branches: {counted(proved, 'fact')} proved, {len(told) - proved} unknown"
        for fact in told[:MOST_SHOWN]:
            yield f"  {fact.verdict:<8} {fact.line}:{fact.column} {fact.path}: {fact.message}"
        if len(told) > MOST_SHOWN:
            yield f"  … {len(told) - MOST_SHOWN} more"


def explain(analysis: Analysis) -> Explanation:
    """What becomes of a definition, and why. Raises INVALID_WORKFLOW_DEFINITION where the analysis has errors."""
    told: list[Notes] = []
    plan = optimise(plan_of(analysis.raise_for_errors()), told)
    return Explanation(plan, tuple(told), tuple(_facts(analysis)))


def _remarks(kind: str, remarks: list[Any]) -> list[str]:
    lines = [
        f"  {kind:<8} {remark.node}: {remark.text}" if remark.node else f"  {kind:<8} {remark.text}"
        for remark in remarks[:MOST_SHOWN]
    ]
    return [*lines, f"  … {len(remarks) - MOST_SHOWN} more"] if len(remarks) > MOST_SHOWN else lines


def _facts(analysis: Analysis) -> Iterator[Diagnostic]:
    from ..tasks.registry import registry
    from .verify.branches import judge

    document, scope = analysis.document, analysis.scope
    assert document is not None
    assert scope is not None
    types = analysis.registry if analysis.registry is not None else registry()
    for one in scope.walk():
        if _asks(document, one):
            for found in judge(document, one, types):
                yield document.report(
                    found.code, found.message, found.path, severity="info", verdict=found.verdict
                )


def _asks(document: Document, scope: Scope) -> bool:
    """Whether a scope has conditions, of which something could be proved."""
    return any(edge.condition is not None for edge in scope.graph.edges) or any(
        "when" in document.value(node.path) for node in scope.graph.nodes
    )
