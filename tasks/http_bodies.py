"""Bodies of HTTP answers as JSON values: JSON, XML (without its dangers), text."""

from __future__ import annotations

import json
import xml.parsers.expat
from typing import Any

from ..core.errors import Code, RealmError

MAX_DEPTH = 100


def media_type_of(content_type: str) -> str:
    """The bare type of a Content-Type header.

    >>> media_type_of("Application/JSON; charset=utf-8")
    'application/json'
    """
    return content_type.partition(";")[0].strip().lower()


def kind_of(media_type: str) -> str:
    """``json``, ``xml``, ``text`` or ``file``, by the type that the server declares."""
    if media_type == "application/json" or media_type.endswith("+json"):
        return "json"
    if media_type in ("application/xml", "text/xml") or media_type.endswith("+xml"):
        return "xml"
    if media_type.startswith("text/") or media_type in (
        "",
        "application/x-www-form-urlencoded",
        "application/yaml",
    ):
        return "text"
    return "file"


def parse(kind: str, data: bytes, charset: str | None) -> Any:
    """The body as a JSON value; DEPENDENCY_FAILURE when the bytes are not of that kind."""
    try:
        if kind == "json":
            return json.loads(data, parse_constant=_refuse) if data.strip() else None
        if kind == "xml":
            return parse_xml(data)
        return data.decode(charset or "utf-8", errors="replace")
    except (ValueError, xml.parsers.expat.ExpatError, RecursionError) as error:
        raise RealmError(
            Code.DEPENDENCY_FAILURE,
            f"the answer is not valid {kind.upper()}: {error}",
            hint="response: text takes it as it is",
            details={"body": data[:500].decode("utf-8", errors="replace")},
        ) from None
    except LookupError:
        raise RealmError(
            Code.DEPENDENCY_FAILURE, f"the answer names an unknown character set {charset!r}"
        ) from None


def parse_xml(data: bytes) -> dict[str, Any]:
    """XML as nested objects: attributes as ``@name``, text as ``#text``, repeated elements as lists.

    Document type declarations are refused, and with them every entity (billion laughs, external files).

    >>> parse_xml(b"<a x='1'><b>2</b><b>3</b></a>")
    {'a': {'@x': '1', 'b': ['2', '3']}}
    """
    root: dict[str, Any] = {}
    stack: list[tuple[dict[str, Any], list[str]]] = [(root, [])]

    def start(name: str, attributes: dict[str, str]) -> None:
        if len(stack) > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        stack.append(({f"@{key}": value for key, value in attributes.items()}, []))

    def end(name: str) -> None:
        element, texts = stack.pop()
        text = "".join(texts).strip()
        value: Any = {**element, "#text": text} if element and text else element or (text or None)
        parent = stack[-1][0]
        if name not in parent:
            parent[name] = value
        elif isinstance(parent[name], list):
            parent[name].append(value)
        else:
            parent[name] = [parent[name], value]

    def doctype(*_: object) -> None:
        raise ValueError("it has a document type declaration, which is not accepted")

    parser = xml.parsers.expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = lambda text: stack[-1][1].append(text)
    parser.StartDoctypeDeclHandler = doctype
    parser.Parse(data, True)
    return root


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
