"""The language server as an editor meets it: a process of its own, spoken to over standard input and output, or TCP."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.lsp.client import LanguageClient

from mirror_realm.cli.language_documents import OpenDocument, Units

TIMEOUT = 60
SERVER = [sys.executable, "-m", "mirror_realm.cli", "lsp"]
TEXT = """\
name: photos
variables: {名: 😀😀}
triggers: [{type: manual}]
nodes:
  - {node_id: 预处理-1, type: image/preprocess, input: {file_path: "{{ input.x }}"}}  # 😀
  - node_id: two
    type: control/set
    parameters: {values: {w: "😀 {{ nodes.预处理_1.width }}"}}
edges: [{source: 预处理-1, target: two}]
"""


class Editor:
    """A real LSP client, with one document open."""

    def __init__(self) -> None:
        self.client = LanguageClient("test", "1")
        self.uri = ""
        self.version = 0
        self.text = ""
        self._published: asyncio.Queue[types.PublishDiagnosticsParams] = asyncio.Queue()

        @self.client.feature(types.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: types.PublishDiagnosticsParams) -> None:
            self._published.put_nowait(params)

    async def initialize(self, encodings=None):
        general = types.GeneralClientCapabilities(position_encodings=encodings)
        capabilities = types.ClientCapabilities(general=general)
        result = await self.client.initialize_async(
            types.InitializeParams(capabilities=capabilities, process_id=os.getpid())
        )
        self.client.initialized(types.InitializedParams())
        return result.capabilities

    def open(self, text, uri="file:///somewhere/x.yaml", language="yaml"):
        self.uri, self.text, self.version = uri, text, 1
        item = types.TextDocumentItem(uri, language, self.version, text)
        self.client.text_document_did_open(types.DidOpenTextDocumentParams(item))

    def replace(self, old, new, count=1):
        """Send the edit that puts ``new`` in the place of ``old``."""
        start = self.position(old)
        end = self.position(old, len(old))
        self.version += 1
        self.text = self.text.replace(old, new, count)
        document = types.VersionedTextDocumentIdentifier(self.version, self.uri)
        change = types.TextDocumentContentChangePartial(types.Range(start, end), new)
        self.client.text_document_did_change(types.DidChangeTextDocumentParams(document, [change]))

    def position(self, place, further=0):
        return Units(self.text, "utf-16").position(self.text.index(place) + further)

    def at(self, place, further=0):
        return {
            "text_document": types.TextDocumentIdentifier(self.uri),
            "position": self.position(place, further),
        }

    def in_range(self, place):
        return Units(self.text, "utf-16").range(self.text.index(place), self.text.index(place) + len(place))

    async def diagnostics(self):
        """Those of the present version."""
        while True:
            params = await asyncio.wait_for(self._published.get(), TIMEOUT)
            if params.uri == self.uri and params.version in (self.version, None):
                return list(params.diagnostics)

    async def end(self):
        await self.client.shutdown_async(None)
        self.client.exit(None)
        await asyncio.wait_for(self.client.stop(), TIMEOUT)


@contextlib.asynccontextmanager
async def editor():
    one = Editor()
    await one.client.start_io(*SERVER)
    try:
        yield one
    finally:
        await one.end()


@pytest.mark.slow
async def test_a_session(home):
    async with editor() as one:
        client = one.client
        capabilities = await one.initialize()
        assert capabilities.position_encoding == "utf-16"
        one.open(TEXT)
        assert await one.diagnostics() == []

        one.replace("width", "widht")
        [found] = await one.diagnostics()
        assert (found.code, found.source, found.range) == ("MR303", "realm", one.in_range("widht"))
        assert "did you mean 'width'?" in found.message
        actions = await client.text_document_code_action_async(
            types.CodeActionParams(
                types.TextDocumentIdentifier(one.uri), found.range, types.CodeActionContext([found])
            )
        )
        assert isinstance(actions[0], types.CodeAction)
        [edit] = actions[0].edit.changes[one.uri]
        assert (edit.range, edit.new_text) == (one.in_range("widht"), "width")
        one.replace("widht", "width")
        assert await one.diagnostics() == []

        hover = await client.text_document_hover_async(types.HoverParams(**one.at("width")))
        assert "integer" in hover.contents.value
        place = await client.text_document_definition_async(types.DefinitionParams(**one.at("预处理_1", 1)))
        assert place.range == one.in_range("预处理-1")

        one.replace("width", "")
        completion = await client.text_document_completion_async(
            types.CompletionParams(**one.at("nodes.预处理_1.", len("nodes.预处理_1.")))
        )
        assert "height" in [item.label for item in completion.items]
        one.replace("nodes.预处理_1.", "nodes.预处理_1.height")
        await one.diagnostics()

        edit = await client.text_document_rename_async(
            types.RenameParams(**one.at("预处理-1"), new_name="pre-2")
        )
        assert sorted(change.new_text for change in edit.changes[one.uri]) == ["pre-2", "pre-2", "pre_2"]
        with pytest.raises(JsonRpcException, match="there is a node 'two' already"):
            await client.text_document_rename_async(types.RenameParams(**one.at("预处理-1"), new_name="two"))
        symbols = await client.text_document_document_symbol_async(
            types.DocumentSymbolParams(types.TextDocumentIdentifier(one.uri))
        )
        assert [symbol.name for symbol in symbols] == ["名", "manual", "预处理-1", "two"]
        document = types.TextDocumentIdentifier(one.uri)
        options = types.FormattingOptions(tab_size=2, insert_spaces=True)
        edits = await client.text_document_formatting_async(types.DocumentFormattingParams(document, options))
        assert all(isinstance(edit, types.TextEdit) for edit in edits)
        highlights = await client.text_document_document_highlight_async(
            types.DocumentHighlightParams(**one.at("预处理-1"))
        )
        assert len(highlights) == 3


@pytest.mark.slow
async def test_broken_text_is_diagnosed_and_completed(home):
    async with editor() as one:
        await one.initialize()
        one.open(TEXT)
        await one.diagnostics()
        one.replace(' {{ nodes.预处理_1.width }}"}}', " {{ nodes.")
        assert [found.code for found in await one.diagnostics()] == ["MR101"]
        completion = await one.client.text_document_completion_async(
            types.CompletionParams(**one.at("{{ nodes.", len("{{ nodes.")))
        )
        names = {item.label: item for item in completion.items}
        assert names["预处理-1"].text_edit.new_text == "预处理_1"
        item = next(i for i in completion.items if i.data)
        assert (await one.client.completion_item_resolve_async(item)).documentation is not None


@pytest.mark.slow
async def test_utf_8_json_and_files_that_are_no_definitions(home):
    async with editor() as one:
        capabilities = await one.initialize(["utf-8", "utf-16"])
        assert (encoding := capabilities.position_encoding) == "utf-8"
        text = json.dumps(
            {"name": "x", "nodes": [{"node_id": "😀a", "type": "image/preproces"}]}, ensure_ascii=False
        )
        one.open(text, "untitled:Untitled-1", "json")
        found = next(d for d in await one.diagnostics() if d.code == "MR120")
        start = text.index('"image/')
        assert found.range == Units(text, encoding).range(start, text.index('"}', start) + 1)
        one.open("services:\n  web: {image: x}\n", "file:///somewhere/docker-compose.yaml")
        assert await one.diagnostics() == []
        assert await one.client.text_document_hover_async(types.HoverParams(**one.at("services"))) is None


@pytest.mark.slow
async def test_over_tcp(home, unused_tcp_port):
    server = await asyncio.create_subprocess_exec(*SERVER, "--port", str(unused_tcp_port))
    try:
        one = Editor()
        await _connected(one, unused_tcp_port)
        await one.initialize()
        one.open(TEXT)
        assert await one.diagnostics() == []
        await one.client.shutdown_async(None)
        one.client.exit(None)
        assert await asyncio.wait_for(server.wait(), TIMEOUT) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()


async def _connected(one: Editor, port: int) -> None:
    async with asyncio.timeout(TIMEOUT):
        while True:
            try:
                return await one.client.start_tcp("127.0.0.1", port)
            except OSError:  # not listening yet
                await asyncio.sleep(0.05)


KILLED = """
import subprocess, sys, time
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
body = b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"processId": null, "capabilities": {}}}'
server.stdin.write(b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body)
server.stdin.flush()
server.stdout.readline()
print(server.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
def test_a_killed_editor_ends_the_server(home):
    client = subprocess.Popen([sys.executable, "-c", KILLED, *SERVER], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    server = psutil.Process(int(client.stdout.readline()))
    client.send_signal(signal.SIGKILL)
    client.wait(TIMEOUT)
    gone, _ = psutil.wait_procs([server], timeout=TIMEOUT)
    assert gone == [server]


NOISY = """
import sys
print("a node module that prints")
"""


@pytest.mark.slow
async def test_nothing_but_the_protocol_is_on_standard_output(home, tmp_path, monkeypatch):
    (tmp_path / "noisy_nodes.py").write_text(NOISY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MIRROR_REALM_NODES", "noisy_nodes")
    async with editor() as one:
        await one.initialize()
        one.open(TEXT)
        assert await one.diagnostics() == []


def test_units_of_all_planes():
    text = "a照😀b\r\nc\rd\u2028e"
    for encoding, columns in (
        ("utf-8", [0, 1, 4, 8, 9]),
        ("utf-16", [0, 1, 2, 4, 5]),
        ("utf-32", [0, 1, 2, 3, 4]),
    ):
        units = Units(text, encoding)
        assert [units.position(offset).character for offset in range(5)] == columns
        for offset in [0, 1, 2, 3, 4, 6, 8, 9, 10, 11]:
            assert units.offset(units.position(offset)) == offset
    units = Units(text, "utf-16")
    assert units.position(text.index("e")) == types.Position(2, 2)
    assert units.offset(types.Position(0, 99)) == 4
    assert units.offset(types.Position(9, 0)) == len(text)
    assert units.offset(types.Position(0, 3)) == 2  # inside of a pair


def test_edits_are_applied_as_the_protocol_counts_lines():
    text = "one\u2028two\nthree\n"
    document = OpenDocument("x", "x", "yaml", 1, text, "utf-16")
    place = types.Range(types.Position(1, 0), types.Position(1, 5))
    document.change([types.TextDocumentContentChangePartial(place, "3"), types.TextDocumentContentChangePartial(
        types.Range(types.Position(2, 0), types.Position(2, 0)), "end")])  # fmt: skip
    assert document.text == "one\u2028two\n3\nend"
    document.change([types.TextDocumentContentChangeWholeDocument("x")])
    assert document.text == "x"


def test_a_byte_order_mark_is_counted_by_editors_only():
    units = Units("\ufeffname: a\n", "utf-16")
    assert units.offset(types.Position(0, 5)) == 4
    assert units.position(4) == types.Position(0, 5)


def test_which_documents_are_ours():
    def ours(text, file="x.yaml", language="yaml"):
        return OpenDocument("x", file, language, 1, text, "utf-16").is_definition()

    assert ours("nodes:\n  - {}\n")
    assert ours('{"nodes": []}'.replace("{", "{\n"), "x.json", "json")
    assert ours("a: [", "photo.workflow.yaml")
    assert ours("", language="mirror-realm")
    assert not ours("services: {web: {}}\n")


def test_without_pygls_the_way_out_is_said(home, tmp_path):
    blocked = tmp_path / "sitecustomize.py"
    blocked.write_text("import sys\nsys.modules['pygls'] = None\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        SERVER, env=environment, capture_output=True, text=True, check=False, cwd=Path(tmp_path)
    )
    assert done.returncode == 1
    assert "pip install 'mirror-realm[lsp]'" in done.stderr
    assert "Traceback" not in done.stderr
