"""The text of documents that are not drawn: plain text, Markdown, HTML, Word; bounded, and never run."""

from __future__ import annotations

import codecs
import errno
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import Code, RealmError
from ..extras import require

MAX_TEXT_BYTES = 64 << 20
MAX_ARCHIVE_BYTES = 256 << 20
"""Of a Word document unpacked; the text of a library has less."""
MOST_MEMBERS = 10_000

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    RuntimeError,  # a member that is encrypted, or of a method that is not known
)
"""What zipfile and python-docx raise on damaged documents (each was met, or is raised in their code)."""

_BLOCKS = {
    "address", "article", "aside", "blockquote", "dd", "div", "dl", "dt", "fieldset", "figcaption", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
    "section", "table", "tr", "ul",
}  # fmt: skip
_SILENT = {"script", "style", "template", "noscript", "head", "svg", "iframe", "object"}


@dataclass(frozen=True, slots=True)
class Text:
    """A document's text and what it says about itself (title, author, created …)."""

    text: str
    encoding: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def read_text(path: Path, name: str, reader: str, *, encoding: str | None = None) -> Text:
    """The text of the document at ``path``; ``reader`` is ``text``, ``markdown``, ``html`` or ``docx``.

    Raises DATA_CORRUPTED for what cannot be read, OUT_OF_RANGE beyond the limits of this module, INVALID_ARGUMENT
    for an ``encoding`` that does not exist or does not fit.
    """
    if reader == "docx":
        return _word(path, name)
    if (length := path.stat().st_size) > MAX_TEXT_BYTES:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{name} has {length >> 20} MiB; texts are read up to {MAX_TEXT_BYTES >> 20} MiB",
        )
    data = path.read_bytes()
    if reader == "html":
        return _html(data, name, encoding)
    text, used = decoded(data, name, encoding)
    heading = re.search(r"^#\s+(.+?)\s*#*$", text, re.MULTILINE) if reader == "markdown" else None
    return Text(_lines(text), used, {"title": heading[1]} if heading else {})


def decoded(data: bytes, name: str, encoding: str | None = None) -> tuple[str, str]:
    """(text, encoding): by the byte order mark, ``encoding``, UTF-8, or a guess, in this order."""
    marked = next((known for mark, known in _BOMS if data.startswith(mark)), None)
    if chosen := marked or encoding:
        try:
            return data.decode(chosen), chosen
        except LookupError:
            raise RealmError(Code.INVALID_ARGUMENT, f"there is no encoding {chosen!r}") from None
        except UnicodeDecodeError as error:
            raise RealmError(
                Code.INVALID_ARGUMENT if chosen == encoding else Code.DATA_CORRUPTED,
                f"{name} is not {chosen}: {error.reason} at byte {error.start}",
            ) from None
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        pass
    guess = require("charset_normalizer").from_bytes(data[: 1 << 20]).best()
    if guess is None:
        raise RealmError(
            Code.DATA_CORRUPTED, f"{name} is text in no encoding that is known", hint="name it in `encoding`"
        )
    # GB18030 holds GBK and GB2312, which are what is guessed where they suffice for the sample.
    used = "gb18030" if guess.encoding in ("gb2312", "gbk", "gb18030") else guess.encoding
    return data.decode(used, errors="replace"), used


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def _html(data: bytes, name: str, encoding: str | None) -> Text:
    html = require("lxml.html")
    etree = require("lxml.etree")
    stated = re.search(rb"<meta[^>]+charset\s*=\s*[\"']?([\w-]+)", data[:4096], re.IGNORECASE)
    try:
        text, used = decoded(data, name, encoding or (stated[1].decode() if stated else None))
    except RealmError:
        if encoding is not None or stated is None:
            raise
        text, used = decoded(data, name)  # pages state their encoding wrongly now and then
    # A declaration of an encoding in text that is decoded already would be refused.
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text.replace("\0", ""))
    parser = html.HTMLParser(no_network=True, huge_tree=False, recover=True)
    try:
        root = html.document_fromstring(text, parser=parser)
    except (etree.ParserError, ValueError) as error:
        if not text.strip():
            return Text("", used)
        raise RealmError(Code.DATA_CORRUPTED, f"{name} is not readable as HTML: {error}") from None
    title = root.findtext(".//title") or root.findtext(".//h1")
    pieces = "".join(_pieces(root))
    lines = (re.sub(r"[^\S\t]+", " ", line).strip() for line in pieces.split("\n"))
    facts = {"title": " ".join(title.split())[:1000]} if title and title.strip() else {}
    return Text(re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip(), used, facts)


def _pieces(root: Any) -> Iterator[str]:
    """The texts below ``root`` in order, blocks on lines of their own. Not by recursion: pages nest without end."""
    etree = require("lxml.etree")
    silent = 0
    for event, element in etree.iterwalk(root, events=("start", "end", "comment", "pi")):
        if event in ("comment", "pi"):
            if not silent:
                yield element.tail or ""
            continue
        tag = element.tag if isinstance(element.tag, str) else ""
        if event == "start":
            silent += tag in _SILENT
            if not silent:
                yield "\n" if tag in _BLOCKS or tag == "br" else "\t" if tag in ("td", "th") else ""
                yield _spaced(element.text)
        else:
            if not silent and tag in _BLOCKS:
                yield "\n"
            silent -= tag in _SILENT
            if not silent:
                yield _spaced(element.tail)


def _spaced(text: str | None) -> str:
    """A line break in HTML's source is a space."""
    return re.sub(r"\s+", " ", text) if text else ""


def _word(path: Path, name: str) -> Text:
    docx = require("docx")
    etree = require("lxml.etree")
    _check_archive(path, name)
    try:
        document = docx.Document(str(path))
        pieces = list(_blocks(document))
        properties = document.core_properties
        facts = {
            "title": properties.title,
            "author": properties.author,
            "subject": properties.subject,
            "keywords": properties.keywords,
            "created": properties.created.isoformat() if properties.created else None,
            "modified": properties.modified.isoformat() if properties.modified else None,
        }
    except (*_DAMAGE, etree.XMLSyntaxError) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the disk, not the document (which can ask for a place before its beginning)
        raise RealmError(
            Code.DATA_CORRUPTED, f"{name} is a damaged Word document: {error}", hint="copy the original again"
        ) from error
    return Text("\n".join(pieces), None, {key: value for key, value in facts.items() if value})


def _blocks(document: Any) -> Iterator[str]:
    """Paragraphs and tables in the order of the page; a table's cells are separated by tabs."""
    table = require("docx.table").Table
    for block in document.iter_inner_content():
        if isinstance(block, table):
            for row in block.rows:
                yield "\t".join(" ".join(cell.text.split()) for cell in row.cells)
        else:
            yield block.text


def _check_archive(path: Path, name: str) -> None:
    """Refuse archives that unpack to far more than a document is."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except _DAMAGE as error:
        raise RealmError(Code.DATA_CORRUPTED, f"{name} is a damaged Word document: {error}") from error
    total = sum(member.file_size for member in members)
    if len(members) > MOST_MEMBERS or total > MAX_ARCHIVE_BYTES:
        raise RealmError(
            Code.OUT_OF_RANGE,
            f"{name} would unpack to {total >> 20} MiB in {len(members)} files, as no document does",
            hint="this looks like a decompression bomb",
        )
