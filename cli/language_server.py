"""The language server: :mod:`..compiler.language` in the terms of the Language Server Protocol."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from importlib.metadata import version
from typing import Any

from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer
from pygls.uris import to_fs_path

from ..compiler import language
from . import language_messages as messages
from .language_documents import Documents, OpenDocument

log = logging.getLogger(__name__)

TRIGGERS = [".", "[", "'", '"', "{", "/", ":", " "]
REQUEST_FAILED = -32803
"""LSP's code for a request that was understood and cannot be done."""
CHECK_EVERY = 5.0
"""Seconds between two looks whether the editor is still alive."""


class Server(LanguageServer):
    """A pygls server with our own documents: pygls breaks lines at more characters than the protocol does."""

    def __init__(self) -> None:
        super().__init__("mirror-realm", version("mirror-realm"))
        self.documents = Documents(self._publish)
        self._watch: asyncio.Task[None] | None = None

    @property
    def encoding(self) -> str:
        """The unit that was agreed with the editor."""
        agreed = self.server_capabilities.position_encoding or types.PositionEncodingKind.Utf16
        return types.PositionEncodingKind(agreed).value

    def watch_editor(self, process_id: int | None) -> None:
        """End when the editor's process is gone, even if something keeps our input open."""
        if process_id is not None:
            self._watch = asyncio.ensure_future(_end_with(process_id))

    def _publish(self, document: OpenDocument) -> None:
        found = messages.diagnostics(document) if document.is_definition() else []
        self.text_document_publish_diagnostics(
            types.PublishDiagnosticsParams(document.uri, found, version=document.version)
        )


async def _end_with(process_id: int) -> None:
    import psutil

    while psutil.pid_exists(process_id):  # noqa: ASYNC110 - another process's end is no event of ours
        await asyncio.sleep(CHECK_EVERY)
    log.warning("the editor's process %d is gone", process_id)
    os._exit(0)  # The thread that waits for input would keep us alive for ever.


def make_server() -> Server:
    """A server, ready to be started on standard input and output or on a port."""
    server = Server()
    _synchronise(server)
    _explain(server)
    _navigate(server)
    _change(server)
    return server


def _synchronise(server: Server) -> None:
    @server.feature(types.INITIALIZED)
    def initialized(_: types.InitializedParams) -> None:
        server.watch_editor(server.process_id)

    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        item = params.text_document
        file = to_fs_path(item.uri) or item.uri
        if item.language_id in ("json", "jsonc") and not file.endswith(".json"):
            file += ".json"
        server.documents.open(
            OpenDocument(item.uri, file, item.language_id, item.version, item.text, server.encoding)
        )

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        server.documents.change(
            params.text_document.uri, params.text_document.version, list(params.content_changes)
        )

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(_: types.DidSaveTextDocumentParams) -> None:
        server.documents.saved()

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    def did_close(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.documents.close(uri)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


def _explain(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    async def hover(params: types.HoverParams) -> types.Hover | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.known(document)
        units = document.units
        found = language.hover(view, document.content, units.offset(params.position))
        return messages.hover(found, units) if found else None

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION,
        types.CompletionOptions(trigger_characters=TRIGGERS, resolve_provider=True),
    )
    async def completion(params: types.CompletionParams) -> types.CompletionList | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.known(document)
        units = document.units
        items = language.complete(view, document.content, units.offset(params.position))
        return messages.completions(items, document, units)

    @server.feature(types.COMPLETION_ITEM_RESOLVE)
    async def resolve(item: types.CompletionItem) -> types.CompletionItem:
        data: Any = item.data
        document = server.documents.get(data.get("uri", "")) if isinstance(data, dict) else None
        if document is not None:
            view = await server.documents.known(document)
            if text := language.explain(view, tuple(map(str, data.get("about", ())))):
                item.documentation = messages.markdown(text)
        return item

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    async def symbols(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol] | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.newest(document)
        return messages.symbols(language.symbols(view), document.units)


def _navigate(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    async def definition(params: types.DefinitionParams) -> types.Location | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.newest(document)
        units = document.units
        found = language.definition(view, units.offset(params.position))
        return types.Location(document.uri, units.range(found.start, found.end)) if found else None

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    async def references(params: types.ReferenceParams) -> list[types.Location]:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return []
        view = await server.documents.newest(document)
        units = document.units
        declaration = params.context.include_declaration
        found = language.references(view, units.offset(params.position), declaration=declaration)
        return [types.Location(document.uri, units.range(one.start, one.end)) for one in found]

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_HIGHLIGHT)
    async def highlight(params: types.DocumentHighlightParams) -> list[types.DocumentHighlight]:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return []
        view = await server.documents.newest(document)
        units = document.units
        found = language.references(view, units.offset(params.position))
        return [types.DocumentHighlight(units.range(one.start, one.end)) for one in found]


def _change(server: Server) -> None:
    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    async def prepare(params: types.PrepareRenameParams) -> types.Range | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.newest(document)
        units = document.units
        found = language.renamable(view, units.offset(params.position))
        return units.range(found.start, found.end) if found else None

    @server.feature(types.TEXT_DOCUMENT_RENAME, types.RenameOptions(prepare_provider=True))
    async def rename_node(params: types.RenameParams) -> types.WorkspaceEdit | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.newest(document)
        units = document.units
        try:
            rename = partial(language.rename, view, units.offset(params.position), params.new_name)
            edits = await server.documents.apart(rename)
        except language.Refused as refused:
            raise JsonRpcException(str(refused), REQUEST_FAILED) from None
        if document.units is not units:
            return None  # edits of an older text would spoil the new one
        return messages.workspace_edit(edits, document, units)

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.Refactor]),
    )
    async def code_action(params: types.CodeActionParams) -> list[types.CodeAction]:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return []
        view = await server.documents.newest(document)
        units = document.units
        start, end = units.offset(params.range.start), units.offset(params.range.end)
        return [
            messages.code_action(one, view, document, units) for one in language.actions(view, start, end)
        ]

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    async def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        if (document := server.documents.ours(params.text_document.uri)) is None:
            return None
        view = await server.documents.newest(document)
        units = document.units
        edits = await server.documents.apart(partial(language.formatted, view))
        return messages.text_edits(edits, units) if document.units is units else None
