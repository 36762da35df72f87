"""From a file to an analysis: load, rewrite, validate, graph, passes, checks.

Never raises for a bad definition.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..core.errors import Code, RealmError
from ..tasks.registry import Registry
from .consequences import without_consequences
from .diagnostics import Diagnostic, Format, Path, in_order, render
from .document import Document
from .graph import Graph
from .library import Library
from .model import Definition
from .scopes import Scope, build_scopes

if TYPE_CHECKING:
    from .source import Loaded
    from .verify.pool import Pool

_MOST = 1000
"""Findings kept of one file; nobody reads more, and a generated file can have one on every line."""


@dataclass(frozen=True)
class Analysis:
    """What the compiler knows of one definition.

    ``definition`` is there when the form is right, ``scope`` (and its ``graph``) whenever there are nodes to show; both
    may be there beside errors. ``document`` is the canonical document with its positions, ``text`` the source.
    """

    file: str | None
    text: str = field(repr=False)
    document: Document | None = field(repr=False)
    definition: Definition | None = field(repr=False)
    scope: Scope | None = field(repr=False)
    diagnostics: tuple[Diagnostic, ...]
    registry: Registry | None = field(default=None, repr=False, compare=False)
    subworkflows: Mapping[Path, Analysis] = field(default_factory=dict, repr=False, compare=False)
    """The analysed definition of each node that runs another workflow, by the node's path."""

    @property
    def graph(self) -> Graph | None:
        """The graph of the definition's own nodes; ``scope`` has those inside them too."""
        return self.scope.graph if self.scope else None

    def node_keys(self) -> Iterator[str]:
        """The id in the journal of every node, also of those inside others and in sub-workflows: ``each/resize``."""
        for scope in self.scope.walk() if self.scope is not None else ():
            prefix = f"{scope.key}/" if scope.key else ""
            for node in scope.graph.nodes:
                yield prefix + node.id
                inner = self.subworkflows.get(node.path)
                yield from (f"{prefix}{node.id}/{key}" for key in inner.node_keys()) if inner else ()

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
    library: Library | None = None,
    pool: Pool | None = None,
) -> Analysis:
    """Analyse the definition in the file ``path``, or in ``text`` (then ``path`` is only its name).

    ``dialect`` overrides recognition; ``registry`` replaces the process's node types; ``library`` has the sub-workflows
    (default: the folder of ``path``); ``pool`` are the workers that it is to fit, where that is asked.
    """
    from ..tasks.registry import registry as installed
    from .library import Folder

    if library is None:
        library = Folder(os.path.dirname(os.fspath(path or "")) or ".")
    types = registry if registry is not None else installed()
    return analyze_part(path, text, dialect, types, library, (), pool)


def analyze_part(
    path: str | os.PathLike[str] | None,
    text: str | bytes | None,
    dialect: str | None,
    types: Registry,
    library: Library,
    around: tuple[str, ...],
    pool: Pool | None = None,
) -> Analysis:
    """Analyse a definition that is a part of others: ``around`` are the names of these, outermost first."""
    from .checks import Subject, check
    from .expressions.outputs import Outputs
    from .source import load
    from .subworkflows import subworkflows
    from .validate import validate

    document, source, found, rewriting = _canonical(load(path, text=text), dialect, types)
    file = None if path is None else os.fspath(path)
    if document is None:
        return Analysis(file, source, None, None, None, in_order(found), types)
    valid = validate(document)
    del document  # What the author wrote is needed no more; of a large definition it is a good part of all.
    found = (*found, *rewriting, *valid.diagnostics)
    scope = build_scopes(valid.document, types)
    inner, lost = subworkflows(valid.document, scope, types, library, around)
    outputs = Outputs(valid.document, types, inner)
    found = (
        *found,
        *lost,
        *_enough(check(Subject(valid.document, scope, types, valid.mended, found, inner, outputs, pool))),
    )
    wrong_form = any(d.severity == "error" for d in rewriting)
    definition = None if wrong_form else valid.definition
    return Analysis(
        file,
        source,
        valid.document,
        definition,
        scope if scope.graph.nodes else None,
        _most_of(found),
        types,
        inner,
    )


def _canonical(
    loaded: Loaded, dialect: str | None, types: Registry
) -> tuple[Document | None, str, tuple[Diagnostic, ...], tuple[Diagnostic, ...]]:
    """The canonical document, if it can be read, the text, what the loader found, and what the rewriting did."""
    from .dialects import rewrite

    if loaded.document is None:
        return None, loaded.text, loaded.diagnostics, ()
    document, rewriting = rewrite(loaded.document, dialect, types)
    return document, loaded.text, loaded.diagnostics, rewriting


def _enough(found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """``found``, until more is wrong than is ever shown."""
    errors = 0
    for one in found:
        yield one
        errors += one.severity == "error"
        if errors > _MOST:
            return


def _most_of(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The first findings by position; errors before others where there are too many."""
    all_of_them = in_order(without_consequences(found))
    if len(all_of_them) <= _MOST:
        return all_of_them
    return in_order(sorted(all_of_them, key=lambda one: one.severity != "error")[:_MOST])
