"""From what :mod:`..compiler.language` answers to the types of the Language Server Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lsprotocol import types

from ..compiler import language
from ..compiler.diagnostics import Diagnostic
from ..compiler.language import View
from .language_documents import OpenDocument, Units

_SEVERITY = {
    "error": types.DiagnosticSeverity.Error,
    "warning": types.DiagnosticSeverity.Warning,
    "info": types.DiagnosticSeverity.Information,
}
_ITEM_KIND: Mapping[str, types.CompletionItemKind] = {
    "key": types.CompletionItemKind.Property,
    "value": types.CompletionItemKind.EnumMember,
    "type": types.CompletionItemKind.Class,
    "node": types.CompletionItemKind.Reference,
    "field": types.CompletionItemKind.Field,
    "name": types.CompletionItemKind.Variable,
    "function": types.CompletionItemKind.Function,
    "method": types.CompletionItemKind.Method,
}
_SYMBOL_KIND: Mapping[str, types.SymbolKind] = {
    "node": types.SymbolKind.Function,
    "branch": types.SymbolKind.Namespace,
    "trigger": types.SymbolKind.Event,
    "variable": types.SymbolKind.Constant,
}


def markdown(text: str) -> types.MarkupContent:
    """Text in Markdown."""
    return types.MarkupContent(types.MarkupKind.Markdown, text)


def diagnostics(document: OpenDocument) -> list[types.Diagnostic]:
    """What the newest analysis found."""
    view = document.latest
    if view is None:
        return []
    units = document.units
    return [diagnostic(one, view, document, units) for one in view.analysis.diagnostics]


def diagnostic(found: Diagnostic, view: View, document: OpenDocument, units: Units) -> types.Diagnostic:
    """One finding, its hint on a line of its own, and the nodes that it names as related information."""
    start = view.places.offset(found.line or 1, found.column or 1)
    end = view.places.offset(found.end_line or found.line or 1, found.end_column or found.column or 1)
    related = [
        types.DiagnosticRelatedInformation(
            types.Location(document.uri, units.range(one.start, one.end)), one.message
        )
        for one in language.related(view, found)
    ]
    return types.Diagnostic(
        range=units.range(start, end),
        message=f"{found.message}\n{found.hint}" if found.hint else found.message,
        severity=_SEVERITY[found.severity],
        code=found.code,
        source="realm",
        related_information=related or None,
    )


def hover(found: language.Hover, units: Units) -> types.Hover:
    """A hover; without a range where it would take several lines."""
    place = units.range(found.start, found.end)
    return types.Hover(markdown(found.markdown), place if place.start.line == place.end.line else None)


def completions(items: Sequence[language.Item], document: OpenDocument, units: Units) -> types.CompletionList:
    """All items, in the order of their ranks."""
    return types.CompletionList(
        is_incomplete=sum(one.kind == "node" for one in items) >= language.MOST_NODES,
        items=[_item(one, index, document, units) for index, one in enumerate(items)],
    )


def _item(one: language.Item, index: int, document: OpenDocument, units: Units) -> types.CompletionItem:
    return types.CompletionItem(
        label=one.label,
        kind=_ITEM_KIND[one.kind],
        detail=one.detail or None,
        documentation=markdown(one.documentation) if one.documentation else None,
        sort_text=f"{one.rank}{index:05}",
        # Editors compare this with what stands in the range: node ids are typed with underscores there.
        filter_text=one.text if one.kind in ("node", "field") else one.label,
        text_edit=types.TextEdit(units.range(one.start, one.end), one.text),
        data={"uri": document.uri, "about": list(one.about)} if one.about else None,
    )


def symbols(found: Sequence[language.Symbol], units: Units) -> list[types.DocumentSymbol]:
    """The outline."""
    return [
        types.DocumentSymbol(
            name=one.name,
            detail=one.detail or None,
            kind=_SYMBOL_KIND[one.kind],
            range=units.range(one.start, one.end),
            selection_range=units.range(one.name_start, one.name_end),
            children=symbols(one.children, units),
        )
        for one in found
    ]


def text_edits(edits: Sequence[language.Edit], units: Units) -> list[types.TextEdit]:
    """Edits of one document."""
    return [types.TextEdit(units.range(one.start, one.end), one.text) for one in edits]


def workspace_edit(
    edits: Sequence[language.Edit], document: OpenDocument, units: Units
) -> types.WorkspaceEdit:
    """Edits of one document, as a change of the workspace."""
    return types.WorkspaceEdit(changes={document.uri: text_edits(edits, units)})


def code_action(
    action: language.Action, view: View, document: OpenDocument, units: Units
) -> types.CodeAction:
    """A quick fix, or a change that the author may like."""
    fixes = action.diagnostic
    return types.CodeAction(
        title=action.title,
        kind=types.CodeActionKind.QuickFix if fixes else types.CodeActionKind.Refactor,
        diagnostics=[diagnostic(fixes, view, document, units)] if fixes else None,
        is_preferred=action.preferred or None,
        edit=workspace_edit(action.edits, document, units),
    )
