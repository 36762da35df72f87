"""From a file to an analysis: load, rewrite, validate, graph, passes, checks.

Never raises for a bad definition.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from ..core.errors import Code, RealmError
from ..tasks.registry import Registry
from .diagnostics import Diagnostic, Format, in_order, render
from .document import Document
from .graph import Graph, build_graph
from .model import Definition

_MOST = 1000
"""Findings kept of one file; nobody reads more, and a generated file can have one on every line."""


@dataclass(frozen=True)
class Analysis:
    """What the compiler knows of one definition.

    ``definition`` is there when the form is right, ``graph`` whenever there are nodes to show; both may be
    there beside errors. ``document`` is the canonical document with its positions, ``text`` the source.
    """

    file: str | None
    text: str = field(repr=False)
    document: Document | None = field(repr=False)
    definition: Definition | None = field(repr=False)
    graph: Graph | None = field(repr=False)
    diagnostics: tuple[Diagnostic, ...]
    registry: Registry | None = field(default=None, repr=False, compare=False)

    @property
    def ok(self) -> bool:
        """Whether it can be compiled: no error among the diagnostics."""
        return not self.errors

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are errors."""
        return tuple(d for d in self.diagnostics if d.severity == "error")

    def render(self, format: Format = "text", *, color: bool = False) -> str:
        """The diagnostics in one of the four forms."""
        return render(self.diagnostics, format, sources={self.file or "": self.text}, color=color)

    def raise_for_errors(self) -> Analysis:
        """This analysis, or INVALID_WORKFLOW_DEFINITION with the first error as its message and all as details."""
        if self.ok:
            return self
        first, more = self.errors[0], len(self.errors) - 1
        message = f"{first.position}: {first.message}" + (f" (and {more} more)" if more else "")
        violations = [{"field": d.path or "", "description": d.message} for d in self.errors]
        raise RealmError(
            Code.INVALID_WORKFLOW_DEFINITION,
            message,
            hint=first.hint,
            details={"field_violations": violations, "diagnostics": [d.to_dict() for d in self.diagnostics]},
        )


def analyze(
    path: str | os.PathLike[str] | None = None,
    *,
    text: str | bytes | None = None,
    dialect: str | None = None,
    registry: Registry | None = None,
) -> Analysis:
    """Analyse the definition in the file ``path``, or in ``text`` (then ``path`` is only its name).

    ``dialect`` overrides recognition; ``registry`` replaces the process's node types.
    """
    from .source import load

    loaded = load(path, text=text)
    file = None if path is None else os.fspath(path)
    if loaded.document is None:
        return Analysis(file, loaded.text, None, None, None, in_order(loaded.diagnostics), registry)
    return _analyze(loaded.document, loaded.diagnostics, dialect, registry)


def _analyze(
    source: Document, found: tuple[Diagnostic, ...], dialect: str | None, registry: Registry | None
) -> Analysis:
    from ..tasks.registry import registry as installed
    from . import passes
    from .checks import Subject, check
    from .dialects import rewrite
    from .validate import validate

    document, rewriting = rewrite(source, dialect)
    valid = validate(document)
    found = (*found, *rewriting, *valid.diagnostics)
    types = registry if registry is not None else installed()
    written = build_graph(valid.document)
    graph = passes.apply(written, valid.document)
    found = (*found, *check(Subject(valid.document, written, graph, types, valid.mended, found)))
    wrong_form = any(d.severity == "error" for d in rewriting)
    definition = None if wrong_form else valid.definition
    return Analysis(
        source.file,
        source.text,
        valid.document,
        definition,
        graph if graph.nodes else None,
        in_order(found)[:_MOST],
        types,
    )
