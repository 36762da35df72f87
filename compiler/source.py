"""From a file or a text to a :class:`Document`, or to diagnostics that say why not. Never raises for bad
input."""

from __future__ import annotations

import codecs
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from .diagnostics import Diagnostic
from .document import Document, Mark
from .source_faults import MAX_BYTES, Fault, Unreadable

__all__ = ["Document", "Loaded", "load"]

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_JSON = re.compile(r'\s*(?:\{\s*["}]|\[\s*["{\]])')


class Loaded(NamedTuple):
    """What became of a file: a document, or ``None`` where it cannot be read; its text as far as it is
    text."""

    document: Document | None
    text: str
    diagnostics: tuple[Diagnostic, ...]


def load(path: str | os.PathLike[str] | None = None, *, text: str | bytes | None = None) -> Loaded:
    """Read a definition from ``path``, or from ``text`` with ``path`` as its name.

    A name that ends in ``.json`` is read as JSON, ``.yaml`` and ``.yml`` as YAML; else the text decides.
    """
    name = None if path is None else os.fspath(path)
    if text is None:
        raw = _read(Path(name or ""))
        if isinstance(raw, Fault):
            return _refused(raw, "", name)
        text = raw
    if len(text) > MAX_BYTES:
        message, hint = (
            f"larger than {MAX_BYTES >> 20} MB",
            "keep data in files of its own and refer to them by path",
        )
        return _refused(Fault("MR103", message, 0, 0, hint), "", name)
    if isinstance(text, bytes):
        decoded = _decode(text)
        if isinstance(decoded, tuple):
            return _refused(decoded[0], decoded[1], name)
        text = decoded
    return _parse(text.removeprefix("\ufeff"), name)


def _parse(text: str, name: str | None) -> Loaded:
    try:
        tree, marks, faults = _read_text(text, name)
    except Unreadable as error:
        return _refused(error.fault, text, name)
    except (RecursionError, MemoryError):
        return _refused(Fault("MR103", "too much to read", 0, 0, "split the definition"), text, name)
    document = Document(tree, marks, text, name)
    found = tuple(document.report_at(f.code, f.message, f.start, f.end, hint=f.hint) for f in faults)
    return Loaded(document, text, found)


def _read_text(text: str, name: str | None) -> tuple[Any, Mark, list[Fault]]:
    # Each reader is imported when it is needed: most definitions need one of them.
    suffix = os.path.splitext(name or "")[1].lower()
    yaml = suffix in (".yaml", ".yml")
    if suffix == ".json" or _JSON.match(text):
        from .source_json import read_json

        try:
            return read_json(text)
        except Unreadable:
            if not yaml:
                raise
            # YAML's flow style looks like JSON and allows more.
    from .source_yaml import read_yaml

    return read_yaml(text)


def _refused(fault: Fault, text: str, name: str | None) -> Loaded:
    document = Document(None, 0, text, name)
    found = document.report_at(fault.code, fault.message, fault.start, fault.end, hint=fault.hint)
    return Loaded(None, text, (found,))


def _read(path: Path) -> bytes | Fault:
    try:
        if path.is_dir():
            return Fault("MR100", f"{path} is a folder", 0, 0, "name the file in it")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Fault("MR100", f"there is no file {path}", 0, 0, "check the path")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Fault("MR100", f"{path} cannot be read: {reason}", 0, 0, "check the path and its permissions")


def _decode(raw: bytes) -> str | tuple[Fault, str]:
    bom, encoding = next(((bom, name) for bom, name in _BOMS if raw.startswith(bom)), (b"", "utf-8"))
    body = raw[len(bom) :]
    if not bom and b"\0" in raw[:4]:
        return Fault("MR102", "the text is UTF-16 or UTF-32 without a mark", 0, 0, "save it as UTF-8"), ""
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        good = body[: error.start].decode(encoding, "replace")
        shown = good + body[error.start :].decode(encoding, "replace")
        hint = "save the file as UTF-8"
        if encoding == "utf-8" and _decodes(body, "gb18030"):
            hint += "; it looks like GBK (GB 18030)"
        return Fault("MR102", f"not {encoding.upper()} from here on", len(good), len(good) + 1, hint), shown


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
